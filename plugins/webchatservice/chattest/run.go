package chattest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// patience is how long a case waits, in fake time, for something that must happen.
const patience = time.Minute

// Run runs the suite: each case is a subtest in a bubble of its own.
func Run(t *testing.T, h Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("the rule is: %s", strings.Join(strings.Fields(c.rule), " "))
					}
				})
				server := h.New(t)
				t.Cleanup(server.Close) // after the connections of the case
				c.run(&run{T: t, server: server, features: h.Features})
			})
		})
	}
}

// run is what a case works with.
type run struct {
	*testing.T
	server   Server
	features Features
}

// ctx returns a context that ends with the case's patience.
func (r *run) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	r.Cleanup(cancel)
	return ctx
}

// visitor is the request that cases start chats with.
func visitor() chat.Request {
	return chat.Request{
		Nickname: "Ada", FirstName: "Ada", LastName: "Byron", Email: "ada@example.net", Subject: "Bill",
		UserData: map[string]any{"tier": "gold"},
	}
}

// open starts a chat; the case's end closes the connection.
func (r *run) open() chat.Conn {
	r.Helper()
	conn, err := r.server.Driver().Open(r.ctx(), visitor())
	require.NoError(r, err, "open")
	r.closeLater(conn)
	return conn
}

func (r *run) closeLater(conn chat.Conn) {
	// A Cleanup runs inside of the bubble, before it waits for its goroutines.
	r.Cleanup(func() { require.NoError(r, conn.Close()) })
}

// lines receives until done is true of all lines so far, and returns these.
func (r *run) lines(conn chat.Conn, done func([]chat.Message) bool) []chat.Message {
	r.Helper()
	ctx := r.ctx()
	var all []chat.Message
	for !done(all) {
		ev, err := conn.Receive(ctx)
		require.NoError(r, err, "receive; so far: %v", texts(all))
		all = append(all, ev.Messages...)
	}
	return all
}

// toEnd receives until io.EOF, and returns the events.
func (r *run) toEnd(conn chat.Conn) []chat.Event {
	r.Helper()
	ctx := r.ctx()
	var all []chat.Event
	for {
		ev, err := conn.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(r, err, "receive")
		all = append(all, ev)
	}
}

// send sends a line that must be accepted.
func (r *run) send(conn chat.Conn, text string) chat.Receipt {
	r.Helper()
	receipt, err := conn.Send(r.ctx(), chat.Action{Kind: chat.ActionMessage, Text: text})
	require.NoError(r, err, "send %q", text)
	return receipt
}

// able returns the methods of an ability, and whether the wire has it: what the harness declares, what the connection
// says of itself and what it has methods for agree.
func able[T any](r *run, conn chat.Conn, has func(chat.Capabilities) bool) (methods T, ok bool) {
	r.Helper()
	ok = has(r.features.Capabilities)
	require.Equal(r, ok, has(conn.Capabilities()), "declared and actual ability")
	methods, implemented := conn.(T)
	if ok {
		require.True(r, implemented, "%T has not the methods for what it says that it can do", conn)
	}
	return methods, ok
}

// resumer returns the driver as a chat.Resumer; ok is false for a wire without.
func (r *run) resumer() (driver chat.Resumer, ok bool) {
	r.Helper()
	driver, ok = r.server.Driver().(chat.Resumer)
	require.Equal(r, r.features.Resumes, ok, "declared and actual ability to resume")
	return driver, ok
}

// resume takes a chat up again; the case's end closes the connection.
func (r *run) resume(driver chat.Resumer, req chat.ResumeRequest) chat.Conn {
	r.Helper()
	conn, err := driver.Resume(r.ctx(), req)
	require.NoError(r, err, "resume")
	r.closeLater(conn)
	return conn
}

// outcome requires that err is a *chat.Error with this outcome and returns it.
func (r *run) outcome(err error, want chat.Outcome) *chat.Error {
	r.Helper()
	var e *chat.Error
	require.ErrorAs(r, err, &e)
	require.Equal(r, want.String(), e.Outcome.String(), "outcome of: %v", err)
	require.NotEmpty(r, e.Code)
	require.NotEmpty(r, e.Text)
	return e
}

// texts returns the texts of the messages among lines.
func texts(lines []chat.Message) []string {
	var out []string
	for _, l := range lines {
		if l.Kind == chat.KindMessage {
			out = append(out, l.Text)
		}
	}
	return out
}

// said is a condition for lines: the last message is text.
func said(text string) func([]chat.Message) bool {
	return func(lines []chat.Message) bool {
		all := texts(lines)
		return len(all) > 0 && all[len(all)-1] == text
	}
}

// saw is a condition for lines: there is one of this kind and role.
func saw(kind chat.MessageKind, role chat.Role) func([]chat.Message) bool {
	return func(lines []chat.Message) bool {
		for _, l := range lines {
			if l.Kind == kind && l.From.Role == role {
				return true
			}
		}
		return false
	}
}
