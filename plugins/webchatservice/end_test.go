package webchatservice_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// lateConn answers the request to end the chat later than the end itself comes.
type lateConn struct{ chat.Conn }

func (c lateConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	r, err := c.Conn.Send(ctx, a)
	if a.Kind == chat.ActionEnd && err == nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return chat.Receipt{}, &chat.Error{Code: chat.CodeCanceled, Op: "end", Err: context.Cause(ctx)}
		}
	}
	return r, err
}

type lateDriver struct{ chat.Driver }

func (d lateDriver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	conn, err := d.Driver.Open(ctx, r)
	return lateConn{conn}, err
}

// A server that says that the chat is over was told, though its answer to the
// request comes behind that, where nobody waits any more.
func TestEndBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &webchatservice.Options{Driver: lateDriver{chattest.NewMemory(nil).Driver()}})
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor, ServerTold: true},
			payload[webchatservice.EndedData](t, r.take(), "ended"))
	})
}

func TestEndChatDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		m.Delay(time.Second)
		f := start(r, t.Context(), webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		synctest.Wait()
		_, err := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		_, err = f.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrStartEnded)
		assert.True(t, m.Ended(id))
	})
}

func TestEndChatSettlesWithoutTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		m.Partition()
		time.Sleep(time.Second)
		pending := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "late"})
		synctest.Wait()
		_, err := call(r, webchatservice.EndChat, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrServerNotTold)
		_, err = pending.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor}, payload[webchatservice.EndedData](t, events, "ended"))
		_, err = call(r, webchatservice.EndChat, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession, "it has ended here all the same")
	})
}

// TestEndedOnceWithItsReason ends a chat in each way there is.
func TestEndedOnceWithItsReason(t *testing.T) {
	for reason, finish := range map[webchatservice.EndReason]func(t *testing.T, r *rig, m *chattest.Memory){
		webchatservice.EndVisitor: func(t *testing.T, r *rig, _ *chattest.Memory) { require.NoError(t, end(r)) },
		webchatservice.EndAgent:   func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChatBy(id, chat.EndAgent) },
		webchatservice.EndServer:  func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChat(id) },
		webchatservice.EndIdle:    func(_ *testing.T, _ *rig, m *chattest.Memory) { m.EndChatBy(id, chat.EndIdle) },
		webchatservice.EndExpired: func(_ *testing.T, _ *rig, m *chattest.Memory) {
			m.Partition()
			time.Sleep(time.Minute)
			m.EndChat(id)
			m.Heal()
		},
		webchatservice.EndLost: func(_ *testing.T, _ *rig, m *chattest.Memory) {
			m.Partition()
			time.Sleep(time.Hour)
			m.Heal()
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
				m.AgentJoin(id, "Bob")
				r.take()
				finish(t, r, m)
				time.Sleep(time.Hour)
				events := r.take()
				d := payload[webchatservice.EndedData](t, events, "ended")
				assert.Equal(t, reason, d.Reason)
				assert.Equal(t, reason != webchatservice.EndLost, d.ServerTold)
				assert.Equal(t, "WebChatService.ended", events[len(events)-1].Name(), "it is the last")
				payload[webchatservice.ParticipantData](t, events, "agentDisconnected")
				payload[webchatservice.ParticipantData](t, events, "clientDisconnected")
			}))
		})
	}
}

func TestStopWithoutAStoreEndsTheChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		r.begin()
		r.stop()
		assert.True(t, m.Ended(id))
		assert.Equal(t, []string{"clientDisconnected", "messageReceived", "ended"}, r.told())
	})
}

// A chat that is being ended when the bus stops is ended, and not left to be restored.
func TestStopDuringEndChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.Delay(time.Second)
		f := start(r, t.Context(), webchatservice.EndChat, struct{}{})
		synctest.Wait()
		r.stop()
		_, err := f.Result(t.Context())
		assert.NoError(t, err)
		assert.True(t, m.Ended(id))
		assert.Equal(t, 1, count(r.told(), "ended"))
		record, err := opts.Store.Load(t.Context(), "")
		require.NoError(t, err)
		assert.Nil(t, record)
	})
}

// Stop does not wait for the store any longer than its context says.
func TestStopHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, store := onHungDisk(t)
		defer r.stop()
		defer close(store.hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		assert.ErrorContains(t, r.svc.Stop(ctx), "store still works")
		assert.Equal(t, time.Second, time.Since(begun))
	})
}

func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.GiveUpAfter = 5 * time.Minute
		r := newRig(t, opts)
		defer r.stop()
		r.begin()

		m.Partition()
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello?"})
		time.Sleep(6 * time.Minute)
		_, err := f.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrNotSent)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndLost}, payload[webchatservice.EndedData](t, events, "ended"))
		payload[struct{}](t, events, "chatServerTimeout")
	})
}

func TestInactivityLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.InactivityLimit = 10 * time.Minute
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		time.Sleep(9 * time.Minute)
		m.AgentSay(id, "Bob", "still there?")
		time.Sleep(9 * time.Minute)
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "yes"})
		require.NoError(t, err)
		time.Sleep(9 * time.Minute)
		assert.NotContains(t, r.told(), "ended")
		time.Sleep(2 * time.Minute)
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndIdle, ServerTold: true},
			payload[webchatservice.EndedData](t, r.take(), "ended"))
		assert.True(t, m.Ended(id), "the server was told")
	})
}

// deafConn receives nothing more once the chat has been ended, and fails at once each time.
type deafConn struct {
	chat.Conn
	ended atomic.Bool
	calls atomic.Int32 // of Receive, after the end
}

func (c *deafConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	if a.Kind != chat.ActionEnd {
		return c.Conn.Send(ctx, a)
	}
	c.ended.Store(true)
	return chat.Receipt{}, nil
}

func (c *deafConn) Receive(ctx context.Context) (chat.Event, error) {
	if c.ended.Load() {
		c.calls.Add(1)
		return chat.Event{}, &chat.Error{Code: chat.CodeNetwork, Op: "receive", Text: "connection refused"}
	}
	ev, err := c.Conn.Receive(ctx)
	if c.ended.Load() {
		return chat.Event{}, &chat.Error{Code: chat.CodeNetwork, Op: "receive", Text: "connection refused"}
	}
	return ev, err
}

type deafDriver struct {
	chat.Driver
	conn *deafConn
}

func (d *deafDriver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	conn, err := d.Driver.Open(ctx, r)
	d.conn.Conn = conn
	return d.conn, err
}

// A connection that fails after the end was told is asked with pauses, and the chat ends all the same.
func TestEndOnAConnectionThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		deaf := &deafDriver{m.Driver(), &deafConn{}}
		r := newRig(t, &webchatservice.Options{Driver: deaf})
		defer r.stop()
		r.begin()
		begun := time.Now()
		ended := start(r, t.Context(), webchatservice.EndChat, struct{}{})
		synctest.Wait()
		m.AgentSay(id, "Ann", "one more thing") // ends the Receive that is under way
		_, err := ended.Result(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(begun), 3*time.Second)
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor, ServerTold: true},
			payload[webchatservice.EndedData](t, r.take(), "ended"))
		assert.LessOrEqual(t, deaf.conn.calls.Load(), int32(5))
		assert.Positive(t, deaf.conn.calls.Load())
	})
}

// Whatever ends a chat from this side settles what waits, also while the server is out of reach.
func TestTimersSettleWhatWaits(t *testing.T) {
	for reason, set := range map[webchatservice.EndReason]func(o *webchatservice.Options){
		webchatservice.EndIdle:  func(o *webchatservice.Options) { o.InactivityLimit = time.Minute },
		webchatservice.EndAgent: func(o *webchatservice.Options) { o.EndAfterAgents = time.Minute },
	} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				set(opts)
				r := newRig(t, opts)
				defer r.stop()
				r.begin()
				m.AgentJoin(id, "Ann")
				r.take()
				m.AgentLeave(id, "Ann")
				r.take()
				begun := time.Now()
				m.Partition()
				waits := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "waits"})
				_, err := waits.Result(t.Context())
				require.ErrorIs(t, err, webchatservice.ErrNotSent)
				require.ErrorIs(t, err, webchatservice.ErrInterrupted)
				assert.InDelta(t, time.Minute, time.Since(begun), float64(5*time.Second), "not only when the server was told in vain")
				_, err = call(r, webchatservice.EndChat, struct{}{}) // waits for the same end
				require.ErrorIs(t, err, webchatservice.ErrServerNotTold)
				assert.Equal(t, webchatservice.EndedData{Reason: reason}, payload[webchatservice.EndedData](t, r.take(), "ended"))
			})
		})
	}
}
