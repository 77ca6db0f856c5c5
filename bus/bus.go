package bus

import (
	"context"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bus is a message bus: the namespaces, commands and events of any number of
// plugins in one process. Its methods are safe for concurrent use. A bus at
// rest has no goroutine and costs a few kilobytes, so a server may keep one
// for each of its visitors.
type Bus struct {
	opts      Options
	log       *slog.Logger
	pluginLog *slog.Logger // without the attribute plugin

	topics   table[topic]   // by full name
	commands table[command] // by full name
	readers  readers
	watch    atomic.Pointer[watch]       // hooks and taps; nil while there are none
	id       atomic.Pointer[string]      // see instance
	ids      atomic.Uint64               // of calls and chains
	recent   atomic.Pointer[recentNames] // undeclared names that were published; nil before the first

	watchdog watchdog

	life       context.Context // of the loader
	end        context.CancelFunc
	closing    atomic.Bool
	undeclared atomic.Int64  // topics kept only for publishing undeclared names
	reports    atomic.Int32  // incidents being published
	closed     chan struct{} // closed when Close has finished

	mu       sync.Mutex // guards what follows
	clients  map[string]*Client
	order    ordered[*Client] // as registered
	patterns patterns
	seq      uint64 // of wildcard subscriptions
	loads    map[string]*loading
	self     *Client // of the namespace Bus, once there is an incident
	closeErr error
}

// Options are the settings of a bus. The zero value is good.
type Options struct {
	// Logger gets what cannot be returned to anybody: contained panics,
	// overflows, commands that wait, subscriptions to events that do not exist.
	// nil means slog.Default() at the time of [New]; silence is
	// slog.New(slog.DiscardHandler).
	Logger *slog.Logger
	// MailboxSoft is how many events may wait in a plugin's mailbox, besides
	// the batch that is being handled, before publishers wait for room.
	// 0 means 1024.
	MailboxSoft int
	// MailboxHard is how many may wait at most, which handlers can reach that
	// publish to a full mailbox. 0 means 1,048,576, and it is never less than
	// MailboxSoft + 1.
	MailboxHard int
	// BufferLimit is how many commands wait for a plugin that is not ready.
	// 0 means 1024.
	BufferLimit int
	// BufferTimeout is how long each of them waits. 0 means 30 seconds.
	BufferTimeout time.Duration
	// MaxDepth is how deep commands may call commands, handler context to
	// handler context, before [ErrTooDeep] stops a circle. 0 means 64.
	MaxDepth int
	// SlowAfter is how long an event handler may run before it is reported
	// with [SlowHandler]. 0 means 1 second, a negative value never.
	SlowAfter time.Duration
	// Strict turns what is otherwise a line in the log into an error:
	// publishing an event that was not declared, and subscribing to one that
	// its plugin, being ready, has not declared ([ErrUndeclared]).
	Strict bool
	// Reserved are namespaces that only plugins given to [Bus.Start] can have,
	// not [Bus.Register].
	Reserved []string
	// Loader is called when a command names a plugin that is not registered,
	// once however many callers wait for it. It may register or start the plugin;
	// the commands then go on. ctx ends when the bus closes. An error, or
	// returning without the plugin, is their [ErrUnknownPlugin]. It must not call
	// commands of the namespace that it is loading: it would wait for itself. The
	// order of commands started with Go is not kept across a load.
	Loader func(ctx context.Context, b *Bus, namespace string) error
	// Trace returns the trace that ctx belongs to, as the traceparent and
	// tracestate of W3C Trace Context, or "" for none. The bus asks it for
	// messages that cross a link, for retained events and for taps, never for a
	// plain publish. Where it finds none, the trace that came over a link goes
	// on. It must be quick. nil means that the program traces nothing.
	Trace func(ctx context.Context) (parent, state string)
	// Configure fills into, a pointer to a plugin's configuration, from the
	// section of its namespace; into keeps its values where the section is
	// silent. It serves [Client.Configure]. nil leaves into as it is.
	Configure func(namespace string, into any) error
	// Closers are what the plugins stand on: stores, connections, a simulator. [Bus.Close] closes them, the last one first,
	// when it has taken the plugins down, so that nobody has to keep the ends in order. A Close that panics or fails is
	// part of Bus.Close's error, and hinders no other. It must not close the bus.
	Closers []io.Closer
}

// New returns an empty bus. opts may be nil and is not changed.
func New(opts *Options) *Bus {
	b := &Bus{clients: map[string]*Client{}, closed: make(chan struct{})}
	if opts != nil {
		b.opts = *opts
		b.opts.Closers = slices.Clone(opts.Closers)
	}
	o := &b.opts
	setDefault(&o.MailboxSoft, 1024)
	setDefault(&o.MailboxHard, 1<<20)
	setDefault(&o.BufferLimit, 1024)
	setDefault(&o.MaxDepth, 64)
	setDefault(&o.BufferTimeout, 30*time.Second)
	o.MaxDepth = min(o.MaxDepth, math.MaxInt16)
	if o.SlowAfter == 0 {
		o.SlowAfter = time.Second
	}
	o.MailboxHard = max(o.MailboxHard, o.MailboxSoft+1) // so that publishers from outside wait first
	b.log, b.pluginLog = newLoggers(o.Logger)
	b.life, b.end = context.WithCancel(context.Background())
	b.readers.turn = make(chan struct{}, 1)
	b.watchdog.bus = b
	return b
}

func setDefault[N int | time.Duration](v *N, def N) {
	if *v <= 0 {
		*v = def
	}
}

// Register takes a namespace for application code and returns its client, as
// CXBus.registerPlugin does. The client is not ready until [Client.Ready] is
// called; only then do commands of others reach it. It returns [ErrBadName],
// [ErrNameTaken] or [ErrClosed].
func (b *Bus) Register(namespace string) (*Client, error) {
	return b.register(namespace, nil)
}

func (b *Bus) register(namespace string, p Plugin) (*Client, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Load() {
		return nil, ErrClosed.with("register "+namespace, "")
	}
	if b.clients[namespace] != nil || namespace == ownNamespace {
		return nil, ErrNameTaken.with("register "+namespace, "choose another namespace")
	}
	if p == nil && slices.Contains(b.opts.Reserved, namespace) {
		return nil, ErrNameTaken.with("register "+namespace, "it is reserved for a plugin that the host starts")
	}
	c := newClient(b, namespace, p)
	b.clients[namespace] = c
	b.order.add(c)
	return c, nil
}

func (b *Bus) client(namespace string) *Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clients[namespace]
}

func (b *Bus) namespaces() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]string, 0, len(b.clients))
	for ns := range b.clients {
		list = append(list, ns)
	}
	slices.Sort(list)
	return list
}
