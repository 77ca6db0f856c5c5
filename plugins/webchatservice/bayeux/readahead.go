package bayeux

import (
	"net"
	"sync"
)

// aheadBuffer is how much is read at once while there is much to read.
const aheadBuffer = 16 << 10

// aheadBuffers are the large buffers. A connection that has nothing to read has none.
var aheadBuffers = sync.Pool{New: func() any { return new([aheadBuffer]byte) }}

// readAhead is a connection for a reader whose own buffer has socketBuffer bytes. That is small, because a session has
// nothing to read for most of its life. When the network has filled it once, there is more as a rule: so the next bytes
// are read into a large buffer, which is given back when it is empty.
type readAhead struct {
	net.Conn
	before func()             // called before the network is asked, which may take long; nil: nothing
	more   bool               // the last read has filled its buffer
	buf    *[aheadBuffer]byte // nil: none
	rest   []byte             // what is left in buf
	err    error              // that came with it
}

// Read implements [net.Conn].
func (c *readAhead) Read(p []byte) (int, error) {
	if c.buf == nil {
		if c.before != nil {
			c.before()
		}
		if !c.more {
			n, err := c.Conn.Read(p)
			c.more = n == socketBuffer
			return n, err
		}
		c.buf = aheadBuffers.Get().(*[aheadBuffer]byte) //nolint:errcheck // there is nothing else in it
		var n int
		n, c.err = c.Conn.Read(c.buf[:])
		c.rest, c.more = c.buf[:n], n == aheadBuffer
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) > 0 {
		return n, nil
	}
	aheadBuffers.Put(c.buf)
	err := c.err
	c.buf, c.rest, c.err = nil, nil, nil
	return n, err
}
