package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

// note is the payload of most tests; it is 48 bytes, so that boxing it shows.
type note struct {
	N    int
	Text string
	_    [3]int
}

var (
	noteAdded = bus.NewEvent[note]("Notes.added", "A note was added.")
	noteGone  = bus.NewEvent[note]("Notes.gone", "A note was removed.")
	noteState = bus.NewEvent[note]("Notes.state", "The last note (retained).")
	addNote   = bus.NewCommand[note, int]("Notes.add", "Adds a note and gives its number.")
)

// bubble runs f in a bubble of its own, with a bus that is closed behind it.
func bubble(t *testing.T, opts *bus.Options, f func(t *testing.T, b *bus.Bus)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bus.New(opts)
		f(t, b)
		require.NoError(t, b.Close(context.Background()))
	})
}

// register makes clients for tests that need no more than a namespace.
func register(t testing.TB, b *bus.Bus, namespace string) *bus.Client {
	t.Helper()
	c, err := b.Register(namespace)
	require.NoError(t, err)
	return c
}

// readyClient is register for a plugin that others may call.
func readyClient(t testing.TB, b *bus.Bus, namespace string) *bus.Client {
	t.Helper()
	c := register(t, b, namespace)
	c.Ready()
	return c
}

func bind[T any](t testing.TB, c *bus.Client, d bus.EventOf[T]) *bus.Publisher[T] {
	t.Helper()
	p, err := d.Bind(c)
	require.NoError(t, err)
	return p
}

func caller[In, Out any](t testing.TB, c *bus.Client, d bus.CommandOf[In, Out]) *bus.Caller[In, Out] {
	t.Helper()
	k, err := d.Bind(c)
	require.NoError(t, err)
	return k
}

func subscribe[T any](t testing.TB, c *bus.Client, d bus.EventOf[T], h func(context.Context, bus.Event[T]), opts ...bus.SubscribeOption) *bus.Subscription {
	t.Helper()
	s, err := bus.Subscribe(c, d, h, opts...)
	require.NoError(t, err)
	return s
}

func subscribeName(t testing.TB, c *bus.Client, name string, h func(context.Context, bus.Event[any]), opts ...bus.SubscribeOption) *bus.Subscription {
	t.Helper()
	s, err := c.Subscribe(name, h, opts...)
	require.NoError(t, err)
	return s
}

// list is what handlers write down.
type list[T any] struct {
	mu  sync.Mutex // guards all
	all []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

func (l *list[T]) get() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]T{}, l.all...)
}

func (l *list[T]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// numbers returns 0 to n-1.
func numbers(n int) []int {
	l := make([]int, n)
	for i := range l {
		l[i] = i
	}
	return l
}

// logs is a slog handler that keeps what was logged.
type logs struct {
	records list[slog.Record]
	attrs   []slog.Attr
	root    *logs
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithGroup(string) slog.Handler            { return l }
func (l *logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	root := l
	if l.root != nil {
		root = l.root
	}
	return &logs{root: root, attrs: append(append([]slog.Attr{}, l.attrs...), attrs...)}
}

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(l.attrs...)
	if l.root != nil {
		l = l.root
	}
	l.records.add(r)
	return nil
}

// find returns the attributes of each record with that message.
func (l *logs) find(message string) (found []map[string]string) {
	for _, r := range l.records.get() {
		if r.Message != message {
			continue
		}
		m := map[string]string{}
		r.Attrs(func(a slog.Attr) bool {
			m[a.Key] = a.Value.String()
			return true
		})
		found = append(found, m)
	}
	return found
}

// hint returns the hint of a bus error.
func hint(t testing.TB, err error) string {
	t.Helper()
	var e *bus.Error
	require.ErrorAs(t, err, &e)
	return e.Hint
}

// apart runs f in a goroutine that may end by runtime.Goexit and waits for it.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

var errOops = errors.New("oops")

func newLogger(h slog.Handler) *slog.Logger { return slog.New(h) }
