package webchatservice_test

import (
	"bytes"
	"context"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// cable is the way of a service to its server, on any wire. It does to bytes what networks do to them: it resets a
// connection at a given byte, gives them one by one, or slowly. Safe for concurrent use.
type cable struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu       sync.Mutex // guards the rest
	in, out  direction  // of all connections together
	single   bool       // a read and a write carry one byte
	interval time.Duration
	dials    int
}

// direction counts the bytes that go one way.
type direction struct {
	bytes int64
	cut   int64 // the connection that carries this byte is reset before it; once
}

const uncut = math.MaxInt64

func newCable(dial func(ctx context.Context, network, address string) (net.Conn, error)) *cable {
	return &cable{dial: dial, in: direction{cut: uncut}, out: direction{cut: uncut}}
}

// DialContext connects by the cable.
func (c *cable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	return &cableConn{Conn: conn, cable: c}, nil
}

// cutIn resets a connection once n more bytes have arrived, cutOut once n more have left.
func (c *cable) cutIn(n int64)  { c.cut(&c.in, n) }
func (c *cable) cutOut(n int64) { c.cut(&c.out, n) }

func (c *cable) cut(d *direction, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.cut = d.bytes + n
}

// carried returns how many bytes have arrived and left.
func (c *cable) carried() (in, out int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.bytes, c.out.bytes
}

// slice lets each read and each write carry one byte.
func (c *cable) slice() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.single = true
}

// trickle lets a byte arrive each interval; 0 ends that.
func (c *cable) trickle(interval time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.single, c.interval = interval > 0, interval
}

func (c *cable) trickles() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interval
}

// room returns how many of n bytes may pass before the cut, and whether the connection is reset now.
func (c *cable) room(d *direction, n int) (room int, now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.bytes >= d.cut {
		d.cut = uncut
		return 0, true
	}
	if c.single {
		n = min(n, 1)
	}
	return int(min(int64(n), d.cut-d.bytes)), false
}

func (c *cable) pass(d *direction, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.bytes += int64(n)
}

// cableConn is a connection by a cable.
type cableConn struct {
	net.Conn
	cable *cable

	// Of the goroutine that reads.
	next time.Time // when the next byte may arrive
	rest []byte    // that a read had asked for before bytes were counted out

	mu       sync.Mutex // guards the rest
	closed   bool
	deadline time.Time // of reads
}

// Read implements net.Conn.
func (k *cableConn) Read(p []byte) (int, error) {
	room, now := k.cable.room(&k.cable.in, len(p))
	if now {
		return 0, k.reset("read")
	}
	k.await()
	if len(k.rest) > 0 {
		n := copy(p[:room], k.rest)
		k.rest = k.rest[n:]
		k.next = time.Now().Add(k.cable.trickles())
		return n, nil
	}
	n, err := k.Conn.Read(p[:room])
	k.cable.pass(&k.cable.in, n)
	if n > 1 && k.cable.trickles() > 0 {
		k.rest = bytes.Clone(p[1:n])
		n = 1
	}
	k.next = time.Now().Add(k.cable.trickles())
	return n, err
}

// await waits until the next byte may arrive, and no longer than a connection waits.
func (k *cableConn) await() {
	for {
		left := time.Until(k.next)
		k.mu.Lock()
		closed, late := k.closed, !k.deadline.IsZero() && !time.Now().Before(k.deadline)
		k.mu.Unlock()
		switch {
		case closed, late, left <= 0, k.cable.trickles() == 0:
			return // the connection itself says what it is
		}
		<-time.After(min(left, 20*time.Millisecond)) // in a bubble
	}
}

// Close implements net.Conn.
func (k *cableConn) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	return k.Conn.Close()
}

// SetDeadline implements net.Conn.
func (k *cableConn) SetDeadline(t time.Time) error {
	_ = k.SetReadDeadline(t)
	return k.Conn.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (k *cableConn) SetReadDeadline(t time.Time) error {
	k.mu.Lock()
	k.deadline = t
	k.mu.Unlock()
	return k.Conn.SetReadDeadline(t)
}

// Write implements net.Conn.
func (k *cableConn) Write(p []byte) (written int, err error) {
	for written < len(p) {
		room, now := k.cable.room(&k.cable.out, len(p)-written)
		if now {
			return written, k.reset("write")
		}
		n, err := k.Conn.Write(p[written : written+room])
		k.cable.pass(&k.cable.out, n)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// reset breaks the connection at both ends.
func (k *cableConn) reset(op string) error {
	chatsim.Reset(k.Conn)
	return &net.OpError{Op: op, Net: "tcp", Addr: k.RemoteAddr(), Err: os.NewSyscallError(op, syscall.ECONNRESET)}
}
