package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/cxbus/cxbus/bus"
)

// kind is what an entry of a trace tells of.
type kind string

const (
	kindPlugin  kind = "plugin"  // a plugin starts or stops
	kindCommand kind = "command" // a command is called
	kindResult  kind = "result"  // a command has settled
	kindEvent   kind = "event"   // an event was published
	kindNote    kind = "note"    // the program says what it does next
)

// entry is one line of a trace.
type entry struct {
	Time  time.Time `json:"time"`
	Kind  kind      `json:"kind"`
	Name  string    `json:"name"`
	By    string    `json:"by"` // who called, settled or published
	Data  any       `json:"data"`
	Error error     `json:"-"`
}

// MarshalJSON writes {time, kind, name, by, data, error}; error is null or {code, text, hint}.
func (e entry) MarshalJSON() ([]byte, error) {
	type plain entry
	out := struct {
		plain
		Error any `json:"error"`
	}{plain: plain(e)}
	if e.Error != nil {
		out.Error = asBusError(e.Error)
	}
	return json.Marshal(out)
}

// asBusError returns err as the bus tells errors to the outside; one that is not the bus's has no code.
// Its text is the whole message: what JSON leaves out of a *bus.Error, the cause, is what people need.
func asBusError(err error) any {
	out := struct {
		Code bus.Code `json:"code"`
		Text string   `json:"text"`
		Hint string   `json:"hint"`
	}{Text: err.Error()}
	var e *bus.Error
	if errors.As(err, &e) {
		out.Code, out.Hint = e.Code, e.Hint
	}
	return out
}

// trace writes what happens on a bus, each entry in the order in which it came. Those who add entries
// never wait for the writing. A nil trace takes entries and writes nothing. Safe for concurrent use.
type trace struct {
	write func(entry) error
	wake  chan struct{} // says that there is something to do
	done  chan struct{} // closed when the writing has ended

	mu     sync.Mutex // guards the rest
	queue  []entry
	closed bool
	err    error // of the first write that failed; nothing is written after it
}

// newTrace returns a trace that writes each entry with write, in a goroutine of its own until close.
// When writing fails, fail is called, once.
func newTrace(write func(entry) error, fail func()) *trace {
	t := &trace{write: write, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go t.run(fail)
	return t
}

func (t *trace) run(fail func()) {
	defer close(t.done)
	for range t.wake {
		t.mu.Lock()
		queue, closed, failed := t.queue, t.closed, t.err != nil
		t.queue = nil
		t.mu.Unlock()
		for i := 0; i < len(queue) && !failed; i++ {
			if err := t.write(queue[i]); err != nil {
				failed = true
				t.mu.Lock()
				t.err = err
				t.mu.Unlock()
				fail()
			}
		}
		if closed {
			return
		}
	}
}

func (t *trace) add(e entry) {
	if t == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	t.mu.Lock()
	if !t.closed {
		t.queue = append(t.queue, e)
	}
	t.mu.Unlock()
	t.poke()
}

func (t *trace) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// close waits until everything is written and returns the error of the first write that failed.
func (t *trace) close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.poke()
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *trace) plugin(namespace, state string, err error) {
	t.add(entry{Kind: kindPlugin, Name: namespace, By: "bus", Data: pluginData{state}, Error: err})
}

// note says in words what comes next.
func (t *trace) note(by, name, text string) {
	t.add(entry{Kind: kindNote, Name: name, By: by, Data: noteData{text}})
}

// noteData is the data of a note.
type noteData struct {
	Text string `json:"text"`
}

// pluginData is the data of an entry on a plugin.
type pluginData struct {
	State string `json:"state"`
}

func (t *trace) event(e bus.Event[any]) {
	t.add(entry{Time: e.Time(), Kind: kindEvent, Name: e.Name(), By: e.Publisher(), Data: e.Data})
}

// call calls a command for c and traces it.
func call[In, Out any](ctx context.Context, t *trace, c *bus.Client, d bus.CommandOf[In, Out], in In) (Out, error) {
	t.add(entry{Kind: kindCommand, Name: d.Name(), By: c.Namespace(), Data: in})
	out, err := d.Call(ctx, c, in)
	e := entry{Kind: kindResult, Name: d.Name(), By: namespaceOf(d.Name()), Error: err}
	if err == nil {
		e.Data = out
	}
	t.add(e)
	return out, err
}

// jsonTrace returns a function that writes entries to w as JSON, one object on each line.
func jsonTrace(w io.Writer) func(entry) error {
	return func(e entry) error {
		e.Time = e.Time.UTC()
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = w.Write(append(cleanJSON(line), '\n'))
		return err
	}
}
