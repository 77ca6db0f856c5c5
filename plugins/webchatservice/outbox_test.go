package webchatservice_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestLostAnswerIsSettledFromTheTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		m.LoseAnswer()
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "once"})
		require.NoError(t, err, "the transcript shows it")
		assert.Equal(t, []string{"once"}, m.VisitorLines(id), "and it was not sent again")
	})
}

// blackHole is a driver whose sends break, with nothing ever reaching the server.
type blackHole struct{ chat.Driver }

func (d blackHole) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	c, err := d.Driver.Open(ctx, r)
	return blackConn{c}, err
}

type blackConn struct{ chat.Conn }

func (c blackConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	if a.Kind == chat.ActionMessage {
		return chat.Receipt{}, &chat.Error{Outcome: chat.Unknown, Code: chat.CodeTimeout, Op: "send", Text: "no answer in time"}
	}
	return c.Conn.Send(ctx, a)
}

func TestSendUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, &webchatservice.Options{Driver: blackHole{m.Driver()}})
		defer r.stop()
		r.begin()

		begun := time.Now()
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "lost?"})
		assert.ErrorIs(t, err, webchatservice.ErrSendUnknown)
		var be *bus.Error
		require.ErrorAs(t, err, &be)
		assert.Equal(t, "send unknown", be.Text)
		assert.Equal(t, 15*time.Second, time.Since(begun))
		var states []webchatservice.MessageState
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageStateData); ok {
				states = append(states, d.State)
			}
		}
		assert.Equal(t, []webchatservice.MessageState{webchatservice.MessagePending, webchatservice.MessageUnknown}, states)
	})
}

func TestMessagesKeepTheOrderOfTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		var want []string
		var futures []*bus.Future[webchatservice.SendMessageOut]
		for i := range 50 {
			text := strings.Repeat("x", i+1)
			want = append(want, text)
			futures = append(futures, start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text}))
		}
		for _, f := range futures {
			_, err := f.Result(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, want, m.VisitorLines(id))
	})
}

func TestUnconfirmedWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(&chattest.MemoryOptions{Unconfirmed: true})
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		for range 3 {
			_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "same"})
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"same", "same", "same"}, m.VisitorLines(id))
	})
}

func TestRefusedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		m.Refuse("204", "")
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "too long for the server"})
		assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		d := payload[webchatservice.ErrorData](t, r.take(), "error")
		assert.Equal(t, []webchatservice.ServerError{{Code: "204"}}, d.Errors)
		assert.Equal(t, d.Errors, d.ResponseJSON.Errors)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "shorter"})
		assert.NoError(t, err)
	})
}

func TestResendAndDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		state := func() map[webchatservice.MessageState]string {
			states := map[webchatservice.MessageState]string{}
			for _, e := range r.take() {
				if d, ok := e.Data.(webchatservice.MessageStateData); ok {
					states[d.State] = d.MessageID
				}
			}
			return states
		}

		m.Refuse("204", "")
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "again"})
		require.ErrorIs(t, err, webchatservice.ErrNotSent)
		failed := state()[webchatservice.MessageFailed]
		require.NotEmpty(t, failed)
		_, err = call(r, webchatservice.Resend, webchatservice.MessageIn{MessageID: failed})
		require.NoError(t, err)
		_, err = call(r, webchatservice.Resend, webchatservice.MessageIn{MessageID: failed})
		assert.ErrorIs(t, err, webchatservice.ErrUnknownID, "it was sent")
		assert.Equal(t, []string{"again"}, m.VisitorLines(id))

		m.Partition()
		synctest.Wait()
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "never mind"})
		pending := state()[webchatservice.MessagePending]
		_, err = call(r, webchatservice.Discard, webchatservice.MessageIn{MessageID: pending})
		require.NoError(t, err)
		_, err = f.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrWithdrawn)
		m.Heal()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"again"}, m.VisitorLines(id))
	})
}

// What cannot be taken in again is kept, and what is unknown can be sent again or discarded, also after a restore.
func TestResendAcrossARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store, opts.OutboxLimit = webchatservice.NewMemoryStore(), 1
		r := newRig(t, opts)
		r.begin()
		ids := map[string]string{}
		note := func() {
			for _, e := range r.take() {
				if d, ok := e.Data.(webchatservice.MessageStateData); ok {
					ids[d.Text] = d.MessageID
				}
			}
		}
		sim.Faults().Add(chatsim.Fault{Op: "send", Late: time.Hour, Times: 2})
		for _, text := range []string{"unknown", "forget me"} {
			require.ErrorIs(t, send(r, text), webchatservice.ErrSendUnknown)
		}
		note()
		busy := sim.Faults().Add(chatsim.Fault{Op: "send", Status: 503, Times: -1})
		waiting := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "waiting"})
		_, err := call(r, webchatservice.Resend, webchatservice.MessageIn{MessageID: ids["unknown"]})
		require.ErrorIs(t, err, webchatservice.ErrOutboxFull)
		_, err = call(r, webchatservice.Discard, webchatservice.MessageIn{MessageID: ids["forget me"]})
		require.NoError(t, err)
		busy.Remove()
		_, err = waiting.Result(t.Context())
		require.NoError(t, err)
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.Resend, webchatservice.MessageIn{MessageID: ids["forget me"]})
		require.ErrorIs(t, err, webchatservice.ErrUnknownID)
		out, err := call(r, webchatservice.Resend, webchatservice.MessageIn{MessageID: ids["unknown"]})
		require.NoError(t, err)
		assert.NotEqual(t, ids["unknown"], out.MessageID)
		assert.Equal(t, []string{"waiting", "unknown"}, sim.Chats()[0].Lines(chatsim.Client))
	})
}

func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.OutboxLimit, opts.OutboxAge = 2, time.Minute
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		m.Partition()
		synctest.Wait()
		var futures []*bus.Future[webchatservice.SendMessageOut]
		for range 3 {
			futures = append(futures, start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "x"}))
		}
		_, err := futures[2].Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrOutboxFull)
		begun := time.Now()
		for _, f := range futures[:2] {
			_, err = f.Result(t.Context())
			assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		}
		assert.Equal(t, time.Minute, time.Since(begun))
		m.Heal()
		time.Sleep(time.Minute)
		assert.Empty(t, m.VisitorLines(id), "what was said not to be sent is not sent later")
	})
}

func TestMessageGoesOutAsItIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim := simRig(t, nil)
		require.NoError(t, r.by("sendMessage", `{"message": "  two  ", "type": "html", "parentMessageID": 7}`))
		for _, q := range sim.Requests() {
			if q.Op != "send" {
				continue
			}
			assert.Equal(t, "  two  ", q.Params["message"])
			assert.Equal(t, "html", q.Params["messageType"])
			assert.JSONEq(t, `{"general-properties": {"related-event-id": "7"}}`, q.Params["eventAttributes"])
			return
		}
		t.Error("nothing was sent")
	})
}

func TestMessagesSurviveAKill(t *testing.T) {
	t.Run("before the transcript shows what is under way", func(t *testing.T) { killWhileSending(t, 0, time.Second) })
	t.Run("after it", func(t *testing.T) { killWhileSending(t, 2500*time.Millisecond, 0) })
}

// killWhileSending kills a service that has a message under way, which the server takes without answering. Two more are
// given to it some time after that one, and the kill comes some time after them.
func killWhileSending(t *testing.T, more, kill time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		say := func(text string) *bus.Future[webchatservice.SendMessageOut] {
			return start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
		}
		_, err := say("same").Result(t.Context())
		require.NoError(t, err)
		time.Sleep(5 * time.Second)

		// One is under way when the process dies, and the server takes it; two wait.
		sim.Faults().Add(chatsim.Fault{Op: "send", DelayAnswer: time.Hour})
		say("same")
		time.Sleep(more)
		say("two")
		say("three")
		time.Sleep(kill)
		synctest.Wait()
		left := copyOf(t, opts.Store)
		sim.Network().Partition()
		r.stop()
		sim.Network().Heal()

		opts.Store = left
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		want := []string{"same", "same", "two", "three"}
		assert.Equal(t, want, sim.Chats()[0].Lines(chatsim.Client))
		assert.Equal(t, want, r.lines(chat.RoleClient))
		last := map[string]webchatservice.MessageState{}
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageStateData); ok {
				last[d.Text] = d.State
			}
		}
		assert.Equal(t, map[string]webchatservice.MessageState{
			"same": webchatservice.MessageSent, "two": webchatservice.MessageSent, "three": webchatservice.MessageSent,
		}, last)
	})
}

func TestStopKeepsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.Partition()
		synctest.Wait()
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "later"})
		r.stop()
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrStopped, "not: failed")
		m.Heal()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"later"}, m.VisitorLines(id))
	})
}

// What is said while the service saves for the last time is kept, too.
func TestStopKeepsWhatIsSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		store := &slowStore{}
		opts.Store = store
		r := newRig(t, opts)
		r.begin()
		m.Partition()
		synctest.Wait()
		store.slow = time.Second
		stopped := make(chan error, 1)
		go func() { stopped <- r.bus.Close(t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "later"})
		require.NoError(t, <-stopped)
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, bus.ErrStopped)
		assert.ErrorContains(t, err, "restore goes on with it")
		m.Heal()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"later"}, m.VisitorLines(id))
	})
}
