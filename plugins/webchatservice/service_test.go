package webchatservice_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// rig is a bus with the service, an application on it, and what the application was told.
type rig struct {
	t   *testing.T
	bus *bus.Bus
	svc *webchatservice.Service
	app *bus.Client

	ears *bus.Subscription // of the application, to all events

	mu     sync.Mutex
	events []bus.Event[any]
}

// newRig must be called in a bubble. stop ends the bus; the bubble checks that nothing is left.
func newRig(t *testing.T, opts *webchatservice.Options) *rig {
	t.Helper()
	r := &rig{t: t, bus: bus.New(nil), svc: webchatservice.New(opts)}
	var err error
	r.app, err = r.bus.Register("App")
	require.NoError(t, err)
	r.app.Ready()
	r.ears, err = r.app.Subscribe("WebChatService.*", func(_ context.Context, e bus.Event[any]) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	})
	require.NoError(t, err)
	require.NoError(t, r.bus.Start(t.Context(), r.svc))
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.bus.Close(ctx))
}

// told returns the short names of the events so far, without those of the outbox and of requests,
// and forgets them.
func (r *rig) told() []string {
	var names []string
	for _, e := range r.take() {
		switch name := strings.TrimPrefix(e.Name(), "WebChatService."); name {
		case "messageStateChanged", "ajaxResponse", "ready", "capabilitiesChanged":
		default:
			names = append(names, name)
		}
	}
	return names
}

// take returns the events so far and forgets them.
func (r *rig) take() []bus.Event[any] {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// payload returns the data of the only event of that name among events.
func payload[T any](t *testing.T, events []bus.Event[any], name string) T {
	t.Helper()
	var found []T
	for _, e := range events {
		if e.Name() == "WebChatService."+name {
			found = append(found, e.Data.(T))
		}
	}
	require.Len(t, found, 1, "events %s", name)
	return found[0]
}

func call[In, Out any](r *rig, c bus.CommandOf[In, Out], in In) (Out, error) {
	r.t.Helper()
	caller, err := c.Bind(r.app)
	require.NoError(r.t, err)
	return caller.Call(r.t.Context(), in)
}

func start[In, Out any](r *rig, ctx context.Context, c bus.CommandOf[In, Out], in In) *bus.Future[Out] {
	r.t.Helper()
	caller, err := c.Bind(r.app)
	require.NoError(r.t, err)
	return caller.Go(ctx, in)
}

// begin starts a chat and forgets the events of it.
func (r *rig) begin() {
	r.t.Helper()
	_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
	require.NoError(r.t, err)
	r.take()
}

func onMemory(m *chattest.Memory) *webchatservice.Options {
	return &webchatservice.Options{Drivers: []chat.Factory{m.Factory()}}
}

const id = "chat-1" // of the first chat of a Memory

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{
			Nickname: "Ada", UserData: map[string]any{"product": "phone"},
		})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, webchatservice.StartedData{SessionID: id, UserID: "user-1", Alias: "1"},
			payload[webchatservice.StartedData](t, events, "started"))
		assert.Equal(t, map[string]string{"product": "phone"}, m.UserData(id))

		m.AgentJoin(id, "Bob")
		m.AgentTyping(id, "Bob", true)
		m.AgentSay(id, "Bob", "Hello Ada")
		events = r.take()
		joined := payload[webchatservice.ParticipantData](t, events, "agentConnected")
		assert.Equal(t, "Bob", joined.Message.From.Name)
		assert.Equal(t, 1, joined.NumAgentsConnected)
		var texts []string
		for _, e := range events {
			if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
				require.Len(t, d.OriginalMessages, len(d.Messages))
				for _, msg := range d.Messages {
					if msg.Type == chat.KindMessage {
						texts = append(texts, msg.Text)
					}
				}
			}
		}
		assert.Equal(t, []string{"Hello Ada"}, texts)

		out, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "my phone is broken"})
		require.NoError(t, err)
		assert.NotEmpty(t, out.MessageID)
		assert.Equal(t, []string{"my phone is broken"}, m.VisitorLines(id))

		r.take()
		tr, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		assert.NotEmpty(t, tr.Messages)
		assert.Equal(t, "my phone is broken", tr.Messages[len(tr.Messages)-1].Text)
		agents, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Len(t, agents.Agents, 1)
		r.take()

		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		events = r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndVisitor, ServerTold: true},
			payload[webchatservice.EndedData](t, events, "ended"))
		assert.Equal(t, "WebChatService.ended", events[len(events)-1].Name(), "ended is the last")
		assert.Equal(t, 0, payload[webchatservice.ParticipantData](t, events, "agentDisconnected").NumAgentsConnected)
		assert.True(t, m.Ended(id))

		after, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(after.Messages), len(tr.Messages), "the transcript outlives the chat")
		_, err = call(r, webchatservice.EndChat, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
	})
}

func TestOrderOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		assert.Equal(t, []string{"started", "clientConnected", "messageReceived"}, r.told())

		m.AgentJoin(id, "Bob")
		assert.Equal(t, []string{"agentConnected", "messageReceived"}, r.told())
		m.AgentTyping(id, "Bob", true)
		m.AgentTyping(id, "Bob", true)
		assert.NotContains(t, r.told()[1:], "agentTypingStarted", "typing twice is no change")
		m.AgentSay(id, "Bob", "Hello")
		assert.Equal(t, []string{"agentTypingStopped", "messageReceived"}, r.told())
		m.AgentLeave(id, "Bob")
		assert.Equal(t, []string{"agentDisconnected", "messageReceived"}, r.told())

		m.EndChatBy(id, chat.EndIdle)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndIdle, ServerTold: true},
			payload[webchatservice.EndedData](t, events, "ended"))
		assert.NotNil(t, payload[webchatservice.ParticipantData](t, events, "clientDisconnected"))
	})
}

func TestBadCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Config = &webchatservice.Config{MaxMessageLength: 5}
		r := newRig(t, opts)
		defer r.stop()

		text := func(err error) string {
			var be *bus.Error
			require.ErrorAs(t, err, &be)
			return be.Text
		}
		send := func(message string) error {
			_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: message})
			return err
		}
		assert.Equal(t, "There is no active chat session", text(send("hi")))
		_, err := call(r, webchatservice.EndChat, struct{}{})
		assert.Equal(t, "There is no active chat session", text(err))
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.Equal(t, "No chat session found to restore.", text(err))
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{UserData: "{"})
		assert.Equal(t, "malformed JSON provided in userData property", text(err))

		r.begin()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
		assert.Equal(t, "There is already an active chat session", text(err))
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.Equal(t, "Chat session is already active, ignoring restore command.", text(err))
		assert.Equal(t, "No message text provided", text(send("")))
		assert.Equal(t, "No message text provided", text(send(" \n\t")))
		assert.Equal(t, "Message length exceeds configured threshold of (5) characters", text(send("123456")))
		assert.NoError(t, send("äöü€𝄞"), "characters are code points")
		_, err = call(r, webchatservice.Poll, struct{}{})
		assert.Equal(t, "Access Denied to private command. Only WebChatService is allowed to invoke this command", text(err))
		_, err = call(r, webchatservice.StartPoll, struct{}{})
		assert.Equal(t, "This transport doesn't support polling.", text(err))
		assert.Equal(t, 1, m.Chats())
	})
}

func TestNetworkDownAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		m.Partition()
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"disconnected"}, r.told(), "once, however often it is tried")
		first := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "one"})
		ctx, cancel := context.WithCancel(t.Context())
		second := start(r, ctx, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "two"})
		third := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "three"})
		synctest.Wait()
		cancel()
		_, err := second.Result(t.Context())
		assert.ErrorIs(t, err, webchatservice.ErrWithdrawn)
		select {
		case <-first.Done():
			t.Error("the message cannot have been sent")
		default:
		}

		m.AgentSay(id, "Bob", "are you there?")
		m.Heal()
		_, err = first.Result(t.Context())
		require.NoError(t, err)
		_, err = third.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"one", "three"}, m.VisitorLines(id))
		told := r.told()
		assert.Equal(t, 1, count(told, "reconnected"))
		assert.Equal(t, 0, count(told, "disconnected"))
		assert.Equal(t, "reconnected", told[0])
	})
}

// printed is everything in every way it could be printed.
func printed(t *testing.T, events []bus.Event[any], rest ...any) string {
	t.Helper()
	var b strings.Builder
	show := func(v any) {
		fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
		if _, door := v.(webchatservice.SessionData); !door {
			j, err := json.Marshal(v)
			require.NoError(t, err)
			b.Write(j)
		}
		if err, ok := v.(error); ok {
			b.WriteString(err.Error())
		}
		slog.New(slog.NewJSONHandler(&b, nil)).Info("shown", "value", v)
	}
	for _, e := range events {
		show(e.Data)
	}
	for _, v := range rest {
		if _, door := v.(webchatservice.SessionData); door {
			fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
			continue
		}
		show(v)
	}
	return b.String()
}

func count(list []string, name string) (n int) {
	for _, s := range list {
		if s == name {
			n++
		}
	}
	return n
}

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
		r := newRig(t, &webchatservice.Options{Drivers: []chat.Factory{{
			Name:    "black hole",
			Matches: func(chat.Config) bool { return true },
			New:     func(chat.Config, chat.Options) (chat.Driver, error) { return blackHole{m.Driver()}, nil },
		}}})
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

func TestStartThatIsGivenUpLeavesNoChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		m.Delay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := start(r, ctx, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}).Result(t.Context())
		require.Error(t, err)
		time.Sleep(5 * time.Second)
		assert.True(t, m.Ended(id))
		assert.Empty(t, r.told(), "it was never a session")

		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.NoError(t, err, "and the next one starts")
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

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()

		m.Partition()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrStartFailed)
		assert.ErrorContains(t, err, "webchat.dataURL")
		assert.Equal(t, []string{"error"}, r.told())
		m.Heal()

		m.LoseAnswer()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrStartUnknown)
		assert.Equal(t, 1, m.Chats(), "an uncertain start is not tried again")

		m.Refuse("161", "")
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
		var ce *chat.Error
		require.ErrorAs(t, err, &ce)
		assert.Equal(t, []chat.ServerError{{Code: "161"}}, ce.Errors)
		r.take()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.NoError(t, err)
	})
}

func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		for range 10 {
			_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "He"})
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		assert.True(t, m.VisitorTyping(id))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.False(t, m.VisitorTyping(id))
		told := slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"clientTypingStarted", "clientTypingStopped"}, told)

		_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "Hello"})
		require.NoError(t, err)
		told = slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"clientTypingStarted", "clientTypingStopped"}, told)
	})
}

// What the server was not told is not reported as told, and is told once it can be.
func TestTypingThatTheServerWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		sim.Faults().Add(chatsim.Fault{Op: "startTyping", Status: http.StatusBadRequest})
		told := func() (n int) {
			for _, q := range sim.Requests() {
				if q.Op == "startTyping" {
					n++
				}
			}
			return n
		}
		for i := range 40 {
			_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{})
			if i < 20 {
				require.ErrorIs(t, err, webchatservice.ErrRequest, i)
				require.Equal(t, 1, told(), "not with every key")
			} else {
				require.NoError(t, err, i)
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, 2, told())
		assert.True(t, sim.Chats()[0].Typing)
	})
}

func TestUserData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Config = &webchatservice.Config{UserData: map[string]any{"site": "shop", "level": "1"}}
		r := newRig(t, opts)
		defer r.stop()

		out, err := call(r, webchatservice.UpdateUserData, map[string]any{"level": "2"})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"site": "shop", "level": "2"}, out.UserData)
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{
			Nickname: "Ada", UserData: `{"cart":"3"}`, Form: map[string]any{"email": "ada@example.net", "room": "7"},
		})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"site": "shop", "level": "2", "cart": "3", "room": "7"}, m.UserData(id))
		_, err = call(r, webchatservice.UpdateUserData, map[string]any{"cart": "4"})
		require.NoError(t, err)
		assert.Equal(t, "4", m.UserData(id)["cart"])
	})
}

func TestServerOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		for range 5 {
			m.Status(id, 1)
			synctest.Wait()
		}
		assert.Empty(t, r.told(), "five are tolerated")
		for range 10 {
			m.Status(id, 1)
			synctest.Wait()
		}
		assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		m.Status(id, 0)
		assert.Equal(t, []string{"chatServerBackOnline"}, r.told())
	})
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		store := webchatservice.NewMemoryStore()
		opts := onMemory(m)
		opts.Store, opts.SessionKey = store, "visitor-7"

		r := newRig(t, opts)
		r.begin()
		m.AgentJoin(id, "Bob")
		m.AgentSay(id, "Bob", "Hello")
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hi"})
		require.NoError(t, err)
		r.take()
		r.stop()
		assert.Empty(t, r.told(), "stopping publishes nothing")
		assert.False(t, m.Ended(id), "the chat waits to be restored")
		m.AgentSay(id, "Bob", "still there?")

		other := *opts
		other.SessionKey = "visitor-8"
		stranger := newRig(t, &other)
		out, err := call(stranger, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.False(t, out.SessionActive)
		stranger.stop()

		r = newRig(t, opts)
		defer r.stop()
		out, err = call(r, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.True(t, out.SessionActive)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.NotNil(t, payload[webchatservice.RestoredData](t, events, "restored"))
		d := payload[webchatservice.MessageReceivedData](t, events, "messageReceived")
		assert.True(t, d.Restoring)
		assert.Equal(t, "still there?", d.Messages[len(d.Messages)-1].Text)
		assert.Equal(t, 1, payload[webchatservice.ParticipantData](t, events, "agentConnected").NumAgentsConnected)

		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		out, err = call(r, webchatservice.VerifySession, struct{}{})
		require.NoError(t, err)
		assert.False(t, out.SessionActive, "an ended session is not kept")
	})
}

func TestDeadStoredSessionIsCleared(t *testing.T) {
	for name, kill := range map[string]func(m *chattest.Memory){
		"timeout": func(*chattest.Memory) { time.Sleep(time.Minute) },
		"ended":   func(m *chattest.Memory) { m.EndChat(id) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				opts := onMemory(m)
				opts.Store = webchatservice.NewMemoryStore()
				r := newRig(t, opts)
				r.begin()
				r.stop()

				kill(m)
				r = newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				require.Error(t, err)
				d := payload[webchatservice.RestoreTimeoutData](t, r.take(), "restoreTimeout")
				assert.Equal(t, name, d.Reason)
				_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
				assert.ErrorIs(t, err, webchatservice.ErrNothingStored)
				_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				assert.NoError(t, err, "and does not block the next start")
			})
		})
	}
}

func TestRestoreOfAnUnreachableServerKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		m.Partition()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.ErrorIs(t, err, webchatservice.ErrRestoreFailed)
		assert.Equal(t, []string{"restoreFailed"}, r.told())
		m.Heal()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.NoError(t, err)
	})
}

// A restore that is given up goes on until the server knows, and is the session until then.
func TestRestoreThatIsGivenUpIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		other := newRig(t, onMemory(m))
		defer other.stop()
		other.begin()
		data, err := call(other, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		keys := &webchatservice.SessionKeys{SessionID: data.SessionID, UserID: data.UserID, Alias: data.Alias, SecureKey: data.SecureKey}

		r := newRig(t, onMemory(m))
		r.begin()
		require.NoError(t, end(r)) // so that there is a session before
		m.Delay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err = start(r, ctx, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keys}).Result(t.Context())
		require.Error(t, err)
		synctest.Wait()
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrSessionActive)
		r.stop()
		assert.True(t, m.Ended(id))
	})
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
