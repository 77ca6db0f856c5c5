package webchatservice_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
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

// misdeeds are what code of the program may do in the place of returning.
var misdeeds = map[string]func(){
	"panics":             func() { panic("broken") },
	"ends its goroutine": runtime.Goexit,
}

// onMisdeeds runs f in a bubble for each misdeed.
func onMisdeeds(t *testing.T, f func(t *testing.T, misbehave func())) {
	for name, misbehave := range misdeeds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, misbehave) })
		})
	}
}

// patiently returns ctx for a call that must not take longer than an hour.
func patiently(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// Inline handlers run in the goroutine that publishes. What they do in the place of returning ends nothing: every
// command settles, what was said is sent, and the chat ends in order.
func TestInlineHandlersEndNothing(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		armed := false
		_, err := r.app.Subscribe("WebChatService.*", func(context.Context, bus.Event[any]) {
			if armed {
				misbehave()
			}
		}, bus.Inline())
		require.NoError(t, err)
		armed = true // the retained ones are handled in this goroutine
		ctx := patiently(t)
		_, err = start(r, ctx, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}).Result(t.Context())
		require.NoError(t, err)
		for _, text := range []string{"one", "two"} {
			_, err = start(r, ctx, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text}).Result(t.Context())
			require.NoError(t, err)
			_, err = start(r, ctx, webchatservice.SendTyping, webchatservice.SendTypingIn{}).Result(t.Context())
			require.NoError(t, err)
			m.AgentSay(id, "Bob", "yes")
		}
		time.Sleep(time.Minute)
		_, err = start(r, ctx, webchatservice.EndChat, struct{}{}).Result(t.Context())
		require.NoError(t, err)
		assert.True(t, m.Ended(id))
		assert.Equal(t, []string{"one", "two"}, m.VisitorLines(id))
		events := r.take()
		assert.Equal(t, []string{"one", "yes", "two", "yes"}, texts(events))
		payload[webchatservice.EndedData](t, events, "ended")
		_, err = start(r, ctx, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}).Result(t.Context())
		require.NoError(t, err)
	})
}

// A pre-processor that does not return changes nothing of the line.
func TestPreProcessorsEndNothing(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		misbehaves := func(line webchatservice.Message) *webchatservice.Message {
			if line.Text != "fine" {
				misbehave()
			}
			line.Text += "!"
			return &line
		}
		_, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{PreProcessor: misbehaves})
		require.NoError(t, err)
		_, err = start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}).Result(t.Context())
		require.NoError(t, err)
		for _, text := range []string{"one", "fine", "two"} {
			m.AgentSay(id, "Bob", text)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, []string{"one", "fine!", "two"}, texts(r.take()))
	})
}

// The input of typing previews is asked at each poll, which goes on whatever it does.
func TestPreviewInputEndsNothing(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		r, sim := simRig(t, nil)
		_, err := call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{
			Input: func() string { misbehave(); return "" },
		})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		say(t, ann, "hello")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"hello"}, texts(r.take()))
	})
}

// oddDriver does something in the place of answering.
type oddDriver struct{ do func() }

func (d oddDriver) Open(context.Context, chat.Request) (chat.Conn, error) {
	d.do()
	return nil, errors.New("unreachable")
}

// A driver that does not return from Open costs the start, and no more.
func TestDriverThatDoesNotReturn(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		r := newRig(t, &webchatservice.Options{Driver: oddDriver{misbehave}})
		defer r.stop()
		for range 2 {
			_, err := start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{}).Result(t.Context())
			require.ErrorIs(t, err, webchatservice.ErrStartUnknown)
		}
	})
}

// A factory that does not return costs the start, and no more.
func TestFactoryThatDoesNotReturn(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		made := chattest.NewMemory(nil)
		odd := true
		r := newRig(t, &webchatservice.Options{Drivers: []chat.Factory{
			chat.NewFactory("odd", func(struct{}, *chat.Options) (chat.Driver, error) {
				if odd {
					misbehave()
				}
				return made.Driver(), nil
			}, chat.Selection{}),
		}})
		defer r.stop()
		_, err := start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{}).Result(t.Context())
		require.Error(t, err)
		odd = false
		_, err = start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{}).Result(t.Context())
		require.NoError(t, err)
	})
}

// oddValue has a JSON form that does something odd.
type oddValue struct{ do func() }

func (v oddValue) MarshalJSON() ([]byte, error) {
	v.do()
	return []byte(`"odd"`), nil
}

// A JSON method of a value that is attached may misbehave, and may call the service.
func TestAttachedValuesEndNothing(t *testing.T) {
	deeds := map[string]func(r *rig){
		"panics": func(*rig) { panic("broken") },
		"ends":   func(*rig) { runtime.Goexit() },
		"calls": func(r *rig) {
			_, _ = start(r, r.t.Context(), webchatservice.UpdateUserData, map[string]any{"a": "b"}).Result(r.t.Context())
		},
	}
	for name, deed := range deeds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewMemory(nil)
				r := newRig(t, onMemory(m))
				defer r.stop()
				odd := map[string]any{"odd": oddValue{func() { deed(r) }}}
				check := func(err error) {
					t.Helper()
					if name == "calls" {
						require.NoError(t, err)
					} else {
						require.Error(t, err)
					}
				}
				_, err := start(r, patiently(t), webchatservice.UpdateUserData, odd).Result(t.Context())
				check(err)
				_, err = start(r, patiently(t), webchatservice.UpdateInteractionData, odd).Result(t.Context())
				check(err)
				_, err = start(r, patiently(t), webchatservice.Configure, webchatservice.Config{UserData: odd}).Result(t.Context())
				check(err)
				_, err = start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{UserData: odd}).Result(t.Context())
				check(err)
				_, err = start(r, patiently(t), webchatservice.StartChat, webchatservice.StartChatIn{UserData: map[string]any{"a": 1}}).Result(t.Context())
				if name != "calls" {
					require.NoError(t, err)
				}
				assert.Equal(t, 1, m.Chats())
			})
		})
	}
}

// What is attached is what it was at the call: its owner may write to it afterwards.
func TestAttachedValuesAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		inner := map[string]any{"n": int64(1) << 60}
		out, err := call(r, webchatservice.UpdateUserData, map[string]any{"inner": inner, "list": []any{inner}})
		require.NoError(t, err)
		inner["n"] = "changed"
		assert.Equal(t, map[string]any{"n": int64(1) << 60}, out.UserData["inner"])
		assert.Equal(t, []any{map[string]any{"n": int64(1) << 60}}, out.UserData["list"])
	})
}

// oddReader does something in the place of giving its bytes.
type oddReader struct {
	io.Reader
	do func()
}

func (r oddReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.do()
	}
	return n, err
}

// A file whose reader does not return is not sent, and its caller is told.
func TestReadersEndNothing(t *testing.T) {
	onMisdeeds(t, func(t *testing.T, misbehave func()) {
		r, sim := simRig(t, nil)
		_, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		for _, size := range []int64{0, 5} {
			in := webchatservice.SendFileIn{Files: webchatservice.FileIn{
				Name: "a.txt", Size: size, Content: oddReader{bytes.NewReader([]byte("abcd")), misbehave},
			}}
			_, err := start(r, patiently(t), webchatservice.SendFile, in).Result(t.Context())
			require.Error(t, err)
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
		}
		require.NoError(t, send(r, "and on"))
	})
}

// panickyDriver gives connections that panic.
type panickyDriver struct {
	chat.Driver
	panics *atomic.Value // which method; "" for none
}

func (d panickyDriver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	c, err := d.Driver.Open(ctx, r)
	return &panickyConn{c, d.panics}, err
}

type panickyConn struct {
	chat.Conn
	panics *atomic.Value
}

func (c *panickyConn) Receive(ctx context.Context) (chat.Event, error) {
	if c.panics.Load() == "Receive" {
		panic("broken")
	}
	return c.Conn.Receive(ctx)
}

func (c *panickyConn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	if c.panics.Load() == "Send" {
		panic("broken")
	}
	return c.Conn.Send(ctx, a)
}

// A connection that panics is as one that breaks: what was being sent may have arrived, and the chat goes on.
func TestConnectionThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		var panics atomic.Value
		panics.Store("")
		r := newRig(t, &webchatservice.Options{Driver: panickyDriver{m.Driver(), &panics}})
		defer r.stop()
		r.begin()
		panics.Store("Send")
		require.ErrorIs(t, send(r, "one"), webchatservice.ErrSendUnknown)
		_, err := start(r, patiently(t), webchatservice.EndChat, struct{}{}).Result(t.Context())
		require.ErrorIs(t, err, webchatservice.ErrServerNotTold)

		panics.Store("")
		r.begin()
		panics.Store("Receive")
		m.AgentSay("chat-2", "Bob", "one")
		time.Sleep(10 * time.Second)
		panics.Store("")
		m.AgentSay("chat-2", "Bob", "two")
		time.Sleep(10 * time.Second)
		events := r.take()
		assert.Equal(t, []string{"one", "two"}, texts(events))
		require.NoError(t, send(r, "and on"))
	})
}
