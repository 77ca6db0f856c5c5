package gmsrest

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// conn is a chat. It starts no goroutines.
type conn struct {
	d        *Driver
	life     context.Context // ends with Close
	stop     context.CancelFunc
	sendLock chan struct{} // holds a token while a request that is no poll is under way
	wake     chan struct{} // cap 1: something changed that Receive waits for

	mu         sync.Mutex // guards everything below
	transcript gms.Transcript
	read       chat.Position // where a reader stands after the last event that Receive returned
	queue      []chat.Event
	pace       pace
	polling    bool
	busy       bool // a poll is under way
	preview    func() string
	refused    string      // preview that the server found too long
	waker      func()      // of Await, until it is called
	alarm      *time.Timer // calls it when the next poll is due
	missing    int         // answers in a row that point to a chat that is gone
}

func newConn(d *Driver, s chat.Session, next int64, known chat.Position, a gms.Answer) *conn {
	c := &conn{
		d: d, sendLock: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		transcript: gms.NewTranscript(s, next, known), polling: true, pace: pace{poll: d.poll},
	}
	c.read = c.transcript.Position()
	c.life, c.stop = context.WithCancel(context.Background())
	c.pace.start(time.Now())
	c.takeLocked(a, a.Raw) // nobody else has c yet
	return c
}

// keys is the form that every request after the start carries (wire-gms A.2).
func keys(s chat.Session) url.Values {
	return url.Values{"secureKey": {s.SecureKey.Reveal()}, "userId": {s.UserID}, "alias": {s.Alias}}
}

func setPosition(form url.Values, next int64) {
	form.Set("transcriptPosition", strconv.FormatInt(next, 10))
}

// Session implements [chat.Conn].
func (c *conn) Session() chat.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transcript.Session
}

// Position implements [chat.Conn].
func (c *conn) Position() chat.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// Capabilities implements [chat.Conn]. What GMS takes, all servers take; which files, FileLimits tells.
func (c *conn) Capabilities() chat.Capabilities {
	return chat.Capabilities{
		Files: true, Refetch: true, Polling: true, Typing: true, UserData: true, Notices: true, URLs: true, Nicknames: true,
		ReadMarks: true, IdleReset: true,
	}
}

// Close implements [chat.Conn].
func (c *conn) Close() error {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waker = nil
	if c.alarm != nil {
		c.alarm.Stop()
	}
	return nil
}

// withdrawLocked takes lines out of the events that wait for Receive, because they were given out in another way.
func (c *conn) withdrawLocked(lines []chat.Message) {
	if len(c.queue) == 0 {
		return
	}
	given := make(map[chat.Position]bool, len(lines))
	for _, m := range lines {
		given[m.Position] = true
	}
	for i := range c.queue {
		ev := &c.queue[i]
		ev.Messages = slices.DeleteFunc(ev.Messages, func(m chat.Message) bool { return m.Index != 0 && given[m.Position] })
	}
}

func closedError(op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeClosed, Op: op, Text: "connection was closed"}
}

func canceledError(ctx context.Context, op string) *chat.Error {
	return &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before the request was sent", Err: context.Cause(ctx)}
}

var (
	_ chat.Conn        = (*conn)(nil)
	_ chat.Waker       = (*conn)(nil)
	_ chat.Poller      = (*conn)(nil)
	_ chat.Typer       = (*conn)(nil)
	_ chat.DataUpdater = (*conn)(nil)
	_ chat.Notifier    = (*conn)(nil)
	_ chat.URLPusher   = (*conn)(nil)
	_ chat.Renamer     = (*conn)(nil)
	_ chat.ReadMarker  = (*conn)(nil)
	_ chat.Refetcher   = (*conn)(nil)

	_ chat.IdleResetter = (*conn)(nil)
)
