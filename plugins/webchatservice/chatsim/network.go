package chatsim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dialTimeout is how long a dial into a partitioned network takes to fail.
const dialTimeout = 30 * time.Second

// Network is a network in memory: listeners by address, and buffered
// connections to them that keep deadlines and can be broken at will.
//
// Whoever waits on it (accept, dial, read, write) waits on channels, so that
// programs that use it run under testing/synctest in fake time. Make the
// network inside the bubble that uses it.
//
// All methods are safe for concurrent use and none but DialContext waits.
type Network struct {
	mu         sync.Mutex
	state      linkState
	healed     chan struct{} // guarded by mu; closed and replaced at each change of state
	listeners  map[string]*listener
	hosts      map[string]int // guarded by mu; how many listeners a host has ever had
	links      map[*link]struct{}
	transports []*http.Transport
	ports      int
	dials      int
	closed     bool
}

type linkState int

const (
	linkUp          linkState = iota
	linkStalled               // connections open, nothing arrives
	linkRefused               // dials are refused
	linkPartitioned           // nothing arrives, dials get no answer
)

// NewNetwork makes a network with nobody on it.
func NewNetwork() *Network {
	return &Network{
		healed:    make(chan struct{}),
		listeners: map[string]*listener{},
		hosts:     map[string]int{},
		links:     map[*link]struct{}{},
	}
}

// Listen puts a listener at address, "host:port". The host may be any name; no
// name service is involved. An address can have one listener at a time.
func (n *Network) Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("chatsim: listen on %q: %w", address, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr(address), Err: net.ErrClosed}
	}
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr(address), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{network: n, addr: addr(address), queue: make(chan *conn), done: make(chan struct{})}
	n.listeners[address] = l
	n.hosts[host]++
	return l, nil
}

// DialContext connects to the listener at address. It has the signature that
// http.Transport, websocket dialers and the like ask for; network must begin
// with "tcp".
//
// An unknown host gives a *net.DNSError, a known host without a listener at
// that port, or a network that refuses, ECONNREFUSED. In a partitioned network
// it waits until the partition is healed, ctx ends, or 30 seconds have passed.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
	}
	if !strings.HasPrefix(network, "tcp") {
		return fail(net.UnknownNetworkError(network))
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	n.mu.Lock()
	n.dials++
	n.mu.Unlock()
	timeout := time.NewTimer(dialTimeout)
	defer timeout.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		n.mu.Lock()
		state, healed, l, known := n.state, n.healed, n.listeners[address], n.hosts[host] > 0
		closed := n.closed
		n.mu.Unlock()
		switch {
		case closed:
			return fail(os.NewSyscallError("connect", syscall.ENETUNREACH))
		case state == linkPartitioned:
			select {
			case <-healed:
				continue
			case <-timeout.C:
				return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
			case <-ctx.Done():
				return fail(ctx.Err())
			}
		case !known:
			return fail(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
		case state == linkRefused || l == nil:
			return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
		}
		client, server := n.link(l.addr)
		if client == nil {
			continue
		}
		select {
		case l.queue <- server:
			return client, nil
		case <-l.done:
			client.reset()
			return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
		case <-timeout.C:
			client.reset()
			return fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
		case <-ctx.Done():
			client.reset()
			return fail(ctx.Err())
		}
	}
}

// Client returns a new HTTP client that reaches this network and nothing else.
// It keeps no cookies and has no time-out of its own. Close drops its idle
// connections.
func (n *Network) Client() *http.Client {
	t := &http.Transport{DialContext: n.DialContext, MaxIdleConnsPerHost: 1000}
	n.mu.Lock()
	n.transports = append(n.transports, t)
	n.mu.Unlock()
	return &http.Client{Transport: t}
}

// Reset breaks every connection there is, as a crashed router does: both ends
// get ECONNRESET, bytes under way are lost. New dials work.
func (n *Network) Reset() {
	n.mu.Lock()
	links := n.linksLocked()
	n.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Stall holds back all bytes, in both directions, on the connections there are
// and on those made later; writers go on until the buffers (64 KiB) are full.
// Heal delivers what was held back.
func (n *Network) Stall() { n.setState(linkStalled) }

// Refuse resets every connection, and refuses new ones with ECONNREFUSED until
// Heal: the server's machine is there, its process is not.
func (n *Network) Refuse() {
	n.setState(linkRefused)
	n.Reset()
}

// Partition is Stall, with dials that get no answer at all until Heal: the
// cable is out. Connections that live through it go on after Heal.
func (n *Network) Partition() { n.setState(linkPartitioned) }

// Heal undoes Stall, Refuse and Partition.
func (n *Network) Heal() { n.setState(linkUp) }

// Dials returns how many dials there have been, failed ones too.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Conns returns how many connections are open at one end at least.
func (n *Network) Conns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.links)
}

// Close resets every connection, closes every listener, and fails dials under
// way and later ones. A second call does nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	listeners := make([]*listener, 0, len(n.listeners))
	for _, l := range n.listeners {
		listeners = append(listeners, l)
	}
	transports := n.transports
	n.transports = nil
	close(n.healed)
	n.healed = make(chan struct{})
	n.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	n.Reset()
	for _, t := range transports {
		t.CloseIdleConnections()
	}
	return nil
}

func (n *Network) setState(state linkState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state
	close(n.healed)
	n.healed = make(chan struct{})
	for l := range n.links {
		l.freeze(n.frozenLocked())
	}
}

func (n *Network) frozenLocked() bool {
	return n.state == linkStalled || n.state == linkPartitioned
}

func (n *Network) linksLocked() []*link {
	links := make([]*link, 0, len(n.links))
	for l := range n.links {
		links = append(links, l)
	}
	return links
}

// link makes a connection to a listener; both ends are nil if the network is
// closed or dials do not get through any more.
func (n *Network) link(to net.Addr) (client, server *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.state == linkRefused || n.state == linkPartitioned {
		return nil, nil
	}
	n.ports++
	from := addr(fmt.Sprintf("10.0.%d.%d:%d", n.ports>>8&255, n.ports&255, 40000+n.ports%20000))
	l := &link{network: n, open: 2}
	up, down := &l.up, &l.down
	up.frozen, down.frozen = n.frozenLocked(), n.frozenLocked()
	client = &conn{link: l, in: down, out: up, local: from, remote: to, done: make(chan struct{})}
	server = &conn{link: l, in: up, out: down, local: to, remote: from, done: make(chan struct{})}
	n.links[l] = struct{}{}
	return client, server
}

// link is a connection as the network sees it.
type link struct {
	network  *Network
	up, down stream
	open     int // guarded by network.mu; ends not closed yet
}

func (l *link) freeze(frozen bool) {
	l.up.change(func() { l.up.frozen = frozen })
	l.down.change(func() { l.down.frozen = frozen })
}

func (l *link) reset() {
	for _, s := range []*stream{&l.up, &l.down} {
		s.change(func() { s.err = syscall.ECONNRESET; s.buf, s.off = nil, 0 })
	}
	l.network.mu.Lock()
	delete(l.network.links, l)
	l.network.mu.Unlock()
}

func (l *link) drop() {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.open--; l.open <= 0 {
		delete(l.network.links, l)
	}
}

type listener struct {
	network *Network
	addr    addr
	queue   chan *conn
	once    sync.Once
	done    chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
	default:
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// addr is a "host:port" as it was given.
type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
