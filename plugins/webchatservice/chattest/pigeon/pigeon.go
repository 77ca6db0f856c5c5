// Package pigeon is an example of a driver. Its wire is invented: a pigeon flies to a loft with a note, and back.
package pigeon

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Config has the options of this wire. The zero value of each field but Loft means the default.
type Config struct {
	Loft   string        `json:"loft" group:"transport" doc:"host:port of the loft"`
	Rest   time.Duration `json:"rest" group:"transport" unit:"ms" min:"100" max:"60000" default:"1000" doc:"time between flights"`
	Flight time.Duration `json:"flight" group:"transport" unit:"ms" min:"1" default:"3000" doc:"longest time of a flight"`
}

// Factory returns the factory of this wire: its name, how a driver is made, what in a configuration selects it.
func Factory() chat.Factory {
	return chat.NewFactory("pigeon", New, chat.Selection{Transport: "pigeon-v1"})
}

// Driver opens chats at one loft.
type Driver struct {
	config Config
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a driver. nil options are the zero ones. Its error is a [*chat.Error] with code invalid.
func New(c Config, o *chat.Options) (*Driver, error) {
	if _, _, err := net.SplitHostPort(c.Loft); err != nil {
		return nil, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Text: "webchat.transport.loft: want host:port"}
	}
	d := &Driver{chat.WithDefaults(c), new(net.Dialer).DialContext}
	if o != nil && o.Dial != nil {
		d.dial = o.Dial
	}
	return d, nil
}

// Open implements [chat.Driver].
func (d *Driver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	c := &conn{d: d, turn: make(chan struct{}, 1)}
	c.life, c.stop = context.WithCancelCause(context.Background())
	a, err := c.fly(ctx, "open", map[string]any{"name": r.Nickname, "data": r.UserData})
	if err != nil {
		return nil, err
	}
	c.session = chat.Session{ID: a.Chat, SecureKey: chat.NewSecret(a.Key)}
	return c, nil
}

type answer struct {
	Chat, Key string
	Lines     []chat.JSON
	Over      *chat.EndReason
	Errors    []chat.ServerError
}

type conn struct {
	d       *Driver
	session chat.Session
	life    context.Context // ends with Close
	stop    context.CancelCauseFunc
	turn    chan struct{} // holds a token while something is sent
	read    atomic.Int64  // number of the last line that came
	due     time.Time     // when Receive asks next; of the goroutine that receives, as over is
	over    bool
}

func (c *conn) Session() chat.Session           { return c.session }
func (c *conn) Capabilities() chat.Capabilities { return chat.Capabilities{} }
func (c *conn) Position() chat.Position         { return chat.Position{Index: c.read.Load()} }
func (c *conn) Close() error                    { c.stop(chat.ErrClosed); return nil }

func (c *conn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	if a.Reply != nil {
		return chat.Receipt{}, chat.Unsupported("send")
	}
	select {
	case c.turn <- struct{}{}: // one after the other
		defer func() { <-c.turn }()
	case <-ctx.Done(): // fly says so
	}
	_, err := c.fly(ctx, "send", map[string]any{"text": a.Text, "end": a.Kind == chat.ActionEnd})
	return chat.Receipt{Confirmed: err == nil}, err
}

func (c *conn) Receive(ctx context.Context) (ev chat.Event, err error) {
	select {
	case <-c.life.Done(): // fly says so
	case <-ctx.Done():
	case <-time.After(time.Until(c.due)):
	}
	if c.over && c.life.Err() == nil {
		return ev, io.EOF
	}
	a, err := c.fly(ctx, "receive", map[string]any{"after": c.read.Load()})
	c.due = time.Now().Add(c.d.config.Rest)
	for _, raw := range a.Lines {
		m := chat.Message{Raw: raw}
		_ = json.Unmarshal(raw, &m) // what cannot be read is in Raw all the same
		m.Index = c.read.Add(1)     // the loft numbers lines without gaps
		m.Position, m.Own = c.Position(), m.From.Role == chat.RoleClient
		ev.Messages = append(ev.Messages, m)
	}
	if ev.Position = c.Position(); a.Over != nil {
		c.over, ev.Ended, ev.EndedBy = true, true, *a.Over
	}
	return ev, err
}

// fly makes one flight. Its error is a [*chat.Error].
func (c *conn) fly(ctx context.Context, op string, note map[string]any) (a answer, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(chat.ErrClosed) })()
	if c.life.Err() != nil {
		cancel(chat.ErrClosed) // the other way takes its time
	}
	defer time.AfterFunc(c.d.config.Flight, func() { cancel(context.DeadlineExceeded) }).Stop()
	e := &chat.Error{Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: op, Text: "the pigeon did not come back"}
	bird, err := c.d.dial(ctx, "tcp", c.d.config.Loft)
	if err == nil {
		e.Outcome = chat.Unknown // from here on the loft may have the note
		defer context.AfterFunc(ctx, func() { _ = bird.Close() })()
		defer bird.Close() //nolint:errcheck // the answer is there, or is not
		if err = json.NewEncoder(bird).Encode([]any{op, c.session.ID, c.session.SecureKey.Reveal(), note}); err == nil {
			err = json.NewDecoder(io.LimitReader(bird, 1<<20)).Decode(&a)
		}
	}
	switch e.Err = context.Cause(ctx); {
	case err != nil && e.Err == chat.ErrClosed:
		e.Code = chat.CodeClosed
	case err != nil && e.Err != nil:
		e.Code = chat.CodeCanceled
	case len(a.Errors) > 0:
		e.Outcome, e.Code, e.Errors, e.Text = chat.Rejected, chat.CodeRefused, a.Errors, "the loft says "+a.Errors[0].Code
	case a.Over != nil && op != "receive":
		e.Outcome, e.Code, e.Text = chat.Gone, chat.CodeEnded, "the chat is over"
	case err == nil:
		return a, nil
	}
	return answer{}, e
}
