package webchatservice_test

import (
	"encoding/json"
	"regexp"
	"slices"
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

// texts returns the texts of the messages among events, in order.
func texts(events []bus.Event[any]) []string {
	var out []string
	for _, e := range events {
		if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
			for _, m := range d.Messages {
				if m.Type == chat.KindMessage {
					out = append(out, m.Text)
				}
			}
		}
	}
	return out
}

func TestPrefilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		_, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{})
		assert.ErrorIs(t, err, webchatservice.ErrFilters)
		all, err := r.app.Call(t.Context(), "WebChatService.addPrefilter", json.RawMessage(`{"filters":{"source":"secret","flags":"gi"}}`))
		require.NoError(t, err)
		require.Len(t, all, 1)
		again, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{Filters: []webchatservice.Filter{
			{Regexp: regexp.MustCompile("^#")}, {Regexp: regexp.MustCompile("^#")},
		}})
		require.NoError(t, err)
		assert.Len(t, again, 2, "equal ones count once")
		for _, bad := range []string{`{"filters":[{"source":"("}]}`, `{"filters":["text"]}`, `{"filters":{"source":"a","flags":"q"}}`} {
			_, err = r.app.Call(t.Context(), "WebChatService.addPrefilter", json.RawMessage(bad))
			assert.Error(t, err, bad)
		}

		m.AgentJoin(id, "Bob")
		for _, line := range []string{"a SECRET", "plain", "#tag", "{start:123456789}"} {
			m.AgentSay(id, "Bob", line)
			synctest.Wait()
		}
		assert.Equal(t, []string{"plain"}, texts(r.take()))
		out, err := call(r, webchatservice.SendFilteredMessage, webchatservice.SendFilteredMessageIn{
			Message: "token 77", Regex: webchatservice.Filter{Regexp: regexp.MustCompile(`^token \d+$`)},
		})
		require.NoError(t, err)
		assert.NotEmpty(t, out.MessageID)
		assert.Equal(t, []string{"token 77"}, m.VisitorLines(id))
		assert.Empty(t, texts(r.take()))

		for number := range again {
			_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
			assert.ErrorIs(t, err, webchatservice.ErrUnknownID)
		}
		m.AgentSay(id, "Bob", "a secret")
		assert.Equal(t, []string{"a secret"}, texts(r.take()))
	})
}

func TestPreProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		_, err := r.app.Call(t.Context(), "WebChatService.registerPreProcessor", nil)
		assert.ErrorIs(t, err, webchatservice.ErrNoPreProcessor)
		register := func(f webchatservice.PreProcessor) string {
			out, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{PreProcessor: f})
			require.NoError(t, err)
			return out.ID
		}
		loud := register(func(m webchatservice.Message) *webchatservice.Message {
			m.Text += "!"
			m.HTML = true
			m.Index = 999
			return &m
		})
		register(func(webchatservice.Message) *webchatservice.Message { return nil })
		register(func(webchatservice.Message) *webchatservice.Message { panic("broken") })
		m.AgentSay(id, "Bob", "Hello")
		d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
		assert.Equal(t, "Hello!", d.Messages[0].Text)
		assert.Equal(t, true, d.Messages[0].HTML)
		assert.Equal(t, int64(2), d.Messages[0].Index)
		assert.Contains(t, string(d.Messages[0].Original), `"Hello"`)
		_, err = call(r, webchatservice.RemovePreProcessor, webchatservice.RemoveIn{ID: loud})
		require.NoError(t, err)
		m.AgentSay(id, "Bob", "Hello")
		assert.Equal(t, []string{"Hello"}, texts(r.take()))
	})
}

func TestMasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Masks = []*regexp.Regexp{regexp.MustCompile(`\b\d{4}-\d{4}\b`)}
		opts.Config = &webchatservice.Config{Masks: []string{`(?i)pin \d+`}}
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "card 1234-5678"})
		require.NoError(t, err)
		m.AgentSay(id, "Bob", "you said 1234-5678 and PIN 99")
		events := r.take()
		assert.Equal(t, []string{"card ***", "you said *** and ***"}, texts(events))
		assert.NotContains(t, printed(t, events), "1234-5678")
		assert.Equal(t, []string{"card 1234-5678"}, m.VisitorLines(id), "the server gets it whole")
	})
}

func TestAgentTypingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()
		m.AgentJoin(id, "Bob")
		m.AgentTyping(id, "Bob", true)
		time.Sleep(time.Minute)
		told := r.told()
		assert.Equal(t, 1, count(told, "agentTypingTimeout"))
		m.AgentTyping(id, "Bob", false)
		assert.Equal(t, []string{"messageReceived"}, r.told(), "what is over does not stop again")
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
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
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

func TestIdleAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)

		require.NoError(t, c.Alert(45*time.Second))
		time.Sleep(5 * time.Second)
		d := payload[webchatservice.IdleAlertData](t, r.take(), "idleAlert")
		assert.True(t, d.Closing)
		assert.InDelta(t, 45, d.Seconds, 5)
		_, err := call(r, webchatservice.Wake, webchatservice.WakeIn{ResetIdleState: true})
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		told := r.told()
		assert.Equal(t, 1, count(told, "idleCancelled"))
		assert.NotContains(t, told, "ended", "the notice stopped the timer")

		require.NoError(t, c.Alert(45*time.Second))
		time.Sleep(2 * time.Minute)
		ended := payload[webchatservice.EndedData](t, r.take(), "ended")
		assert.Equal(t, webchatservice.EndIdle, ended.Reason)
	})
}

func TestSleepAndWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Config.SleepEnabled = true
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		polls := func() (n int) {
			for _, q := range sim.Requests() {
				if q.Op == "refresh" {
					n++
				}
			}
			return n
		}
		_, err := call(r, webchatservice.Sleep, struct{}{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		before := polls()
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, polls()-before, 3)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "awake"})
		require.NoError(t, err)
		before = polls()
		time.Sleep(time.Minute)
		assert.Greater(t, polls()-before, 15)
		told := slices.DeleteFunc(r.told(), func(s string) bool { return s == "messageReceived" })
		assert.Equal(t, []string{"sleeping", "waking"}, told)

		_, err = call(r, webchatservice.PausePoll, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.Wake, webchatservice.WakeIn{})
		require.NoError(t, err)
		assert.Equal(t, []string{"pollingStopped", "sleeping", "waking", "pollingStarted"}, r.told())
	})
}

func TestGapIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		r.take()

		sim.Faults().Add(chatsim.Fault{Op: "refresh", Omit: 2, Match: func(chatsim.Request) bool { return true }})
		for _, text := range []string{"one", "two", "three"} {
			_, err := ann.Say(text)
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Second)
		events := r.take()
		assert.Equal(t, []string{"one", "two", "three"}, texts(events))
		for _, e := range events {
			assert.NotEqual(t, "WebChatService.transcriptGap", e.Name())
		}

		four, err := ann.Say("four")
		require.NoError(t, err)
		require.True(t, c.Forget(four.Index))
		_, err = ann.Say("five")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		events = r.take()
		assert.Equal(t, []string{"five"}, texts(events))
		assert.Equal(t, webchatservice.TranscriptGapData{From: int64(four.Index), To: int64(four.Index), Reason: "server"},
			payload[webchatservice.TranscriptGapData](t, events, "transcriptGap"))
	})
}

func TestCustomNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		_, err := call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: "{}"})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
		r.begin()
		_, err = call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: `{"page":"cart"}`})
		require.NoError(t, err)
		assert.Equal(t, []string{`{"page":"cart"}`}, m.Notices(id))
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNotAsync)
		_, err = call(r, webchatservice.UpdateInteractionData, map[string]any{"a": 1})
		assert.ErrorIs(t, err, webchatservice.ErrNoInteractionData)
		_, err = call(r, webchatservice.ResetPollExceptions, struct{}{})
		assert.NoError(t, err)
	})
}

func TestRestoreWhatTheCallerKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		m.AgentSay(id, "Bob", "Hello")
		data, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		kept, err := json.Marshal(data)
		require.NoError(t, err)
		r.stop()

		opts.Store = webchatservice.NewMemoryStore()
		r = newRig(t, opts)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{SessionData: &webchatservice.SessionKeys{}})
		require.ErrorIs(t, err, webchatservice.ErrNothingStored)
		_, err = r.app.Call(t.Context(), "WebChatService.restore", map[string]any{
			"async": map[string]any{"enabled": true}, "sessionData": json.RawMessage(kept),
		})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, []string{"Hello"}, texts(events))
		assert.True(t, payload[webchatservice.RestoredData](t, events, "restored").Async)
		r.stop()

		time.Sleep(time.Hour)
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		assert.NoError(t, err, "it is the stored one now, and a long-lived one does not grow old")
	})
}

func TestAsyncIsConfiguredOrAskedFor(t *testing.T) {
	yes, no := true, false
	for name, tt := range map[string]struct {
		configured bool
		asked      *bool
		want       bool
	}{
		"neither": {}, "configured": {true, nil, true}, "asked": {false, &yes, true}, "asked not": {true, &no, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
				defer sim.Close()
				opts := onSim(sim)
				opts.Config.Async.Enabled = tt.configured
				r := newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", Async: tt.asked})
				require.NoError(t, err)
				assert.Equal(t, tt.want, sim.Chats()[0].Async)
				assert.Equal(t, tt.want, payload[webchatservice.Capabilities](t, r.take(), "capabilitiesChanged").Async)
			})
		})
	}
}

// A restored session tells of those who type now, not of typing that is over.
func TestRestoreWithTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		c, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		for range 3 {
			_, err = ann.Type("")
			require.NoError(t, err)
			_, err = ann.Say("hello")
			require.NoError(t, err)
			_, err = bob.Type("")
			require.NoError(t, err)
			_, err = bob.StopTyping()
			require.NoError(t, err)
		}
		_, err = ann.Type("")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		r.stop()

		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		synctest.Wait()
		var names []string
		for _, e := range r.take() {
			if m, ok := e.Data.(webchatservice.Message); ok {
				assert.Equal(t, "Ann", m.From.Name)
				names = append(names, e.Name())
			}
		}
		assert.Equal(t, []string{"WebChatService.agentTypingStarted"}, names)
		_, err = ann.Say("here I am")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Contains(t, r.told(), "agentTypingStopped")
	})
}
