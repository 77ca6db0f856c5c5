package gmscometd

import (
	"net"
	"sync"
)

// burstBuffer is how much is read at once while there is much to read.
const burstBuffer = 16 << 10

// bursts are the large buffers. Who has nothing to read has none.
var bursts = sync.Pool{New: func() any { return new([burstBuffer]byte) }}

// burstConn is a connection whose reader has a buffer of socketBuffer, small since there is nothing to read for most
// of its life. When that was filled there is more, as a rule: it is read into a large one, which is lent until it is empty.
type burstConn struct {
	net.Conn
	dry  func()             // called before the network is asked, which may take long; nil: nothing
	more bool               // the last read filled its buffer
	buf  *[burstBuffer]byte // nil: none is lent
	rest []byte             // of buf
	err  error              // that came with it
}

// Read implements [net.Conn].
func (c *burstConn) Read(p []byte) (int, error) {
	if c.buf == nil {
		if c.dry != nil {
			c.dry()
		}
		if !c.more {
			n, err := c.Conn.Read(p)
			c.more = n == socketBuffer
			return n, err
		}
		c.buf = bursts.Get().(*[burstBuffer]byte) //nolint:errcheck // there is nothing else in it
		var n int
		n, c.err = c.Conn.Read(c.buf[:])
		c.rest, c.more = c.buf[:n], n == burstBuffer
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) > 0 {
		return n, nil
	}
	bursts.Put(c.buf)
	err := c.err
	c.buf, c.rest, c.err = nil, nil, nil
	return n, err
}
