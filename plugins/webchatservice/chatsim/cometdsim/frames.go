package cometdsim

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"sync/atomic"
)

// frameConn watches the frames of a websocket's client for a close frame with a payload of one byte, which the
// websocket package does not tell from one without any.
type frameConn struct {
	net.Conn
	shortClose atomic.Bool

	// Used by Read alone.
	header []byte
	skip   uint64 // bytes of the payload that are still to come
}

// Read implements net.Conn.
func (c *frameConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.watch(p[:n])
	return n, err
}

// watch follows the frames (RFC 6455 5.2).
func (c *frameConn) watch(b []byte) {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, uint64(len(b)))
			b, c.skip = b[n:], c.skip-n
			continue
		}
		c.header = append(c.header, b[0])
		b = b[1:]
		if len(c.header) < 2 {
			continue
		}
		size, extended := uint64(c.header[1]&0x7f), 0
		switch size {
		case 126:
			extended = 2
		case 127:
			extended = 8
		}
		mask := 0
		if c.header[1]&0x80 != 0 {
			mask = 4
		}
		if len(c.header) < 2+extended+mask {
			continue
		}
		switch extended {
		case 2:
			size = uint64(binary.BigEndian.Uint16(c.header[2:]))
		case 8:
			size = binary.BigEndian.Uint64(c.header[2:])
		}
		const closeFrame = 8
		if c.header[0]&0x0f == closeFrame && size == 1 {
			c.shortClose.Store(true)
		}
		c.header, c.skip = c.header[:0], size
	}
}

// frameHijacker is a ResponseWriter that gives a frameConn for its connection.
type frameHijacker struct {
	http.ResponseWriter
	conn *frameConn
}

// Hijack implements http.Hijacker.
func (w *frameHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = &frameConn{Conn: conn}
	return w.conn, rw, nil
}
