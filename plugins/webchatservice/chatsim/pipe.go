package chatsim

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamLimit is how many bytes one direction of a connection holds before a
// writer waits, about what a kernel gives a TCP connection.
const streamLimit = 64 << 10

// stream is one direction of a connection: bytes, and how it ended.
// Waiting is done on channels alone, so that a goroutine that waits here is
// durably blocked for testing/synctest.
type stream struct {
	mu     sync.Mutex
	buf    []byte        // guarded by mu; buf[off:] is not read yet
	off    int           // guarded by mu
	wait   chan struct{} // guarded by mu; closed at the next change, nil while nobody waits
	frozen bool          // guarded by mu; nothing arrives, neither bytes nor the end
	eof    bool          // guarded by mu; the writer has closed
	gone   bool          // guarded by mu; the reader has closed
	err    error         // guarded by mu; the connection was reset
}

// change runs f with the lock held and wakes everybody who waits.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wakeLocked()
}

func (s *stream) wakeLocked() {
	if s.wait != nil {
		close(s.wait)
		s.wait = nil
	}
}

func (s *stream) waitLocked() <-chan struct{} {
	if s.wait == nil {
		s.wait = make(chan struct{})
	}
	return s.wait
}

// take moves bytes to p. With neither bytes nor an end it returns a channel to
// wait on.
func (s *stream) take(p []byte) (n int, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, nil, s.err
	case s.frozen:
		return 0, s.waitLocked(), nil
	case s.off < len(s.buf):
		n = copy(p, s.buf[s.off:])
		s.off += n
		if s.off == len(s.buf) {
			s.buf, s.off = s.buf[:0], 0
			if cap(s.buf) > 4<<10 {
				s.buf = nil // an idle connection holds no buffer
			}
		}
		s.wakeLocked()
		return n, nil, nil
	case s.eof:
		return 0, nil, io.EOF
	}
	return 0, s.waitLocked(), nil
}

// put takes bytes of p. With no room it returns a channel to wait on.
func (s *stream) put(p []byte) (n int, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, nil, s.err
	}
	if s.gone && !s.frozen {
		return 0, nil, syscall.EPIPE
	}
	room := streamLimit - (len(s.buf) - s.off)
	if room <= 0 {
		return 0, s.waitLocked(), nil
	}
	if s.off > 0 && s.off >= len(s.buf)-s.off { // each byte is moved once at most
		s.buf, s.off = append(s.buf[:0], s.buf[s.off:]...), 0
	}
	n = min(room, len(p))
	s.buf = append(s.buf, p[:n]...)
	s.wakeLocked()
	return n, nil, nil
}

// conn is one end of an in-memory connection.
type conn struct {
	link          *link
	in, out       *stream
	local, remote net.Addr
	read, write   deadline

	once sync.Once
	done chan struct{} // closed by Close
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		select {
		case <-c.done:
			return 0, c.fail("read", net.ErrClosed)
		default:
		}
		late := c.read.wait()
		if expired(late) {
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, wait, err := c.in.take(p)
		switch {
		case err == io.EOF:
			return 0, io.EOF
		case err != nil:
			return 0, c.fail("read", err)
		case n > 0:
			return n, nil
		}
		select {
		case <-wait:
		case <-late:
		case <-c.done:
		}
	}
}

func (c *conn) Write(p []byte) (int, error) {
	written := 0
	for {
		select {
		case <-c.done:
			return written, c.fail("write", net.ErrClosed)
		default:
		}
		late := c.write.wait()
		if expired(late) {
			return written, c.fail("write", os.ErrDeadlineExceeded)
		}
		if written == len(p) {
			return written, nil
		}
		n, wait, err := c.out.put(p[written:])
		written += n
		switch {
		case err != nil:
			return written, c.fail("write", err)
		case written == len(p):
			return written, nil // whatever happens to the connection now
		case wait == nil:
			continue
		}
		select {
		case <-wait:
		case <-late:
		case <-c.done:
		}
	}
}

// Close ends both directions. What was written before still reaches the peer.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.read.set(time.Time{})
		c.write.set(time.Time{})
		c.out.change(func() { c.out.eof = true })
		c.in.change(func() { c.in.gone = true; c.in.buf, c.in.off = nil, 0 })
		c.link.drop()
	})
	return nil
}

// reset breaks the connection as a TCP reset does: both ends fail at once and
// what was under way is lost.
func (c *conn) reset() { c.link.reset() }

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return nil
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// deadline is a moment as a channel that is closed once it has come.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	late  chan struct{} // guarded by mu; nil until somebody waits or sets
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late == nil {
		d.late = make(chan struct{})
	}
	return d.late
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.late == nil {
		d.late = make(chan struct{})
	}
	if t.IsZero() {
		if expired(d.late) {
			d.late = make(chan struct{})
		}
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		if !expired(d.late) {
			close(d.late)
		}
		return
	}
	// Whoever waits on the old channel must see the new deadline too: keep
	// the channel while it is open.
	if expired(d.late) {
		d.late = make(chan struct{})
	}
	var timer *time.Timer
	late := d.late
	timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer && d.late == late && !expired(late) {
			close(late)
		}
	})
	d.timer = timer
}

func expired(late <-chan struct{}) bool {
	select {
	case <-late:
		return true
	default:
		return false
	}
}

var _ net.Conn = (*conn)(nil)
