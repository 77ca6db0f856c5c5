package main

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// cable is the way to the network, which can be pulled out and put in again. Safe for concurrent use.
type cable struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex // guards the rest
	out   bool
	conns map[*cableConn]struct{}
}

func newCable(dial func(ctx context.Context, network, address string) (net.Conn, error)) *cable {
	return &cable{dial: dial, conns: make(map[*cableConn]struct{})}
}

// DialContext dials, unless the cable is out.
func (c *cable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	unreachable := &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	if out {
		return nil, unreachable
	}
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k := &cableConn{Conn: conn, cable: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		_ = conn.Close() // nobody has had it
		return nil, unreachable
	}
	c.conns[k] = struct{}{}
	return k, nil
}

// pull breaks all connections, and lets none be made until plug.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = true
	for k := range c.conns {
		k.cut = true
		_ = k.Conn.Close() // the reader and the writer are told
	}
	clear(c.conns)
}

// plug undoes pull.
func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = false
}

// cableConn is a connection over a cable.
type cableConn struct {
	net.Conn
	cable *cable
	cut   bool // guarded by cable.mu
}

// broken returns what a user of the connection is told of err: one that was cut was reset, not closed.
func (k *cableConn) broken(op string, err error) error {
	if err == nil {
		return nil
	}
	k.cable.mu.Lock()
	defer k.cable.mu.Unlock()
	if !k.cut {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: k.RemoteAddr(), Err: os.NewSyscallError(op, syscall.ECONNRESET)}
}

// Read implements net.Conn.
func (k *cableConn) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	return n, k.broken("read", err)
}

// Write implements net.Conn.
func (k *cableConn) Write(b []byte) (int, error) {
	n, err := k.Conn.Write(b)
	return n, k.broken("write", err)
}

// Close implements net.Conn.
func (k *cableConn) Close() error {
	k.cable.mu.Lock()
	delete(k.cable.conns, k)
	k.cable.mu.Unlock()
	return k.Conn.Close()
}
