package webchatservice_test

import (
	"context"
	"net/http"
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
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// onSim returns the options for a service that talks to sim over its network.
func onSim(sim *chatsim.Server) *webchatservice.Options {
	return &webchatservice.Options{
		Drivers: []chat.Factory{gmsrest.Factory()},
		Config:  &webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(sim)})},
		Dial:    sim.DialContext,
	}
}

func TestConversationOverREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()

		answer, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		assert.Contains(t, string(answer.Answer), `"statusCode"`)
		assert.Equal(t, []string{"started", "pollingStarted", "clientConnected", "messageReceived"}, r.told())
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"agentConnected", "messageReceived"}, r.told())

		out, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "transfer"})
		require.NoError(t, err)
		assert.Contains(t, string(out.Answer.Answer), `"statusCode"`)
		time.Sleep(5 * time.Second)
		told := r.told()
		assert.Subset(t, told, []string{"agentTypingStarted", "agentTypingStopped", "agentConnected", "agentDisconnected"})
		agents, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Len(t, agents.Agents, 2)
		assert.Equal(t, 1, agents.NumAgentsConnected)

		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "bye"})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndAgent, ServerTold: true},
			payload[webchatservice.EndedData](t, events, "ended"))
		assert.Equal(t, []string{"transfer", "bye"}, r.lines(chat.RoleClient))
		stats, err := call(r, webchatservice.GetStats, struct{}{})
		require.NoError(t, err)
		assert.Positive(t, stats.Duration)
		assert.EqualValues(t, stats.EndTime-stats.StartTime, stats.Duration)
	})
}

func TestEndChatOverREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		time.Sleep(time.Second)
		r.take()
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "one thing more"})
		_, err := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		_, err = f.Result(t.Context())
		require.NoError(t, err, "what was given before the end goes before it")
		told := r.told()
		assert.Equal(t, "ended", told[len(told)-1])
		assert.Equal(t, 1, count(told, "ended"))
		assert.Equal(t, 1, count(told, "pollingStopped"))
		assert.Equal(t, 1, count(told, "clientDisconnected"))
		assert.True(t, sim.Chats()[0].Ended)
	})
}

func TestPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		_, err := call(r, webchatservice.StartPoll, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
		r.begin()

		polls := func() (n int) {
			for _, q := range sim.Requests() {
				if q.Op == "refresh" {
					n++
				}
			}
			return n
		}
		time.Sleep(10 * time.Second)
		before := polls()
		assert.InDelta(t, 8, before, 2, "500 ms, and 1.2 times more each time")
		_, err = call(r, webchatservice.StopPoll, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.StopPoll, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNotPolling)
		time.Sleep(10 * time.Second)
		assert.LessOrEqual(t, polls(), before+1)
		_, err = call(r, webchatservice.StartPoll, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.StartPoll, struct{}{})
		require.NoError(t, err, "polling twice is polling")
		time.Sleep(10 * time.Second)
		assert.Greater(t, polls(), before+5)
		assert.Equal(t, []string{"pollingStopped", "pollingStarted"}, r.told())
	})
}

func TestPartitionInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{SilenceLimit: -1})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		time.Sleep(2 * time.Second)
		r.take()

		sim.Network().Partition()
		time.Sleep(time.Minute)
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "can you hear me"})
		time.Sleep(time.Minute)
		sim.Network().Heal()
		_, err := f.Result(t.Context())
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		told := r.told()
		assert.Equal(t, 1, count(told, "disconnected"))
		assert.Equal(t, 1, count(told, "reconnected"))
		assert.Equal(t, 0, count(told, "error"))
		assert.Equal(t, []string{"can you hear me"}, sim.Chats()[0].Lines(chatsim.Client))
		assert.Equal(t, []string{"can you hear me"}, r.lines(chat.RoleClient))
	})
}

func TestForgottenByTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()

		sim.Network().Partition()
		time.Sleep(2 * time.Minute)
		sim.Network().Heal()
		time.Sleep(2 * time.Minute)
		events := r.take()
		ended := payload[webchatservice.EndedData](t, events, "ended")
		assert.Contains(t, []webchatservice.EndReason{webchatservice.EndExpired, webchatservice.EndServer}, ended.Reason)
		assert.True(t, ended.ServerTold)
	})
}

func TestServerDownSeesFewTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{SilenceLimit: -1})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		time.Sleep(2 * time.Second)
		r.take()

		before := len(sim.Requests())
		outage := sim.Faults().Add(chatsim.Fault{Status: 503, Times: -1})
		for range 5 {
			start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello?"})
		}
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, len(sim.Requests())-before, 12)
		told := r.told()
		assert.Equal(t, 1, count(told, "disconnected"))
		assert.Equal(t, 1, count(told, "error"), "once for the incident")
		outage.Remove()
		time.Sleep(20 * time.Second)
		assert.Len(t, sim.Chats()[0].Lines(chatsim.Client), 5)
	})
}

func TestEveryLostAnswerIsSettled(t *testing.T) {
	faults := map[string]chatsim.Fault{
		"reset before":     {Op: "send", Times: 3, Drop: chatsim.DropBefore},
		"reset after":      {Op: "send", Times: 3, Drop: chatsim.DropAfter},
		"accepted 10 s on": {Op: "send", Times: 2, Late: 10 * time.Second},
		"half an answer":   {Op: "send", Times: 3, Cut: 20},
		"503":              {Op: "send", Times: 3, Status: 503},
		"try again":        {Op: "send", Times: 3, Details: gmssim.Fault{StatusCode: 1}},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
				defer sim.Close()
				r := newRig(t, onSim(sim))
				defer r.stop()
				r.begin()
				sim.Faults().Add(fault)

				texts := []string{"one", "two", "two", "three"}
				var want []string
				for _, text := range texts {
					_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
					if err == nil {
						want = append(want, text)
					} else {
						assert.ErrorIs(t, err, webchatservice.ErrSendUnknown)
					}
				}
				time.Sleep(30 * time.Second)
				got := sim.Chats()[0].Lines(chatsim.Client)
				assert.Equal(t, want, got, "what was said to be sent is there, once, in order")
				assert.Equal(t, got, r.lines(chat.RoleClient))
			})
		})
	}
}

func TestBadServers(t *testing.T) {
	deep := []byte(strings.Repeat("[", 100000))
	tests := map[string]struct {
		fault chatsim.Fault
		want  string
	}{
		"refuses":       {chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 161, Advice: "give a name"}}}}, "161"},
		"HTML":          {chatsim.Fault{Status: 200, Body: []byte("<html>welcome</html>"), Header: http.Header{"Content-Type": {"text/html"}}}, "webchat.dataURL"},
		"nothing":       {chatsim.Fault{Delay: time.Hour}, "webchat.dataURL"},
		"truncated":     {chatsim.Fault{Truncate: 20}, "webchat.dataURL"},
		"invalid UTF-8": {chatsim.Fault{Status: 200, Body: []byte("{\"statusCode\":0,\"chatId\":\"\xff\xfe\"}")}, ""},
		"deep":          {chatsim.Fault{Status: 200, Body: deep}, "webchat.dataURL"},
		"endless":       {chatsim.Fault{Pad: 64 << 20}, ""},
		"not found":     {chatsim.Fault{Status: 404}, "webchat.dataURL"},
		"unauthorized":  {chatsim.Fault{Status: 401}, "webchat.apikey"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
				defer sim.Close()
				tt.fault.Times = -1
				bad := sim.Faults().Add(tt.fault)
				r := newRig(t, onSim(sim))
				defer r.stop()

				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				require.Error(t, err)
				assert.NotContains(t, err.Error(), "\n")
				assert.ErrorContains(t, err, tt.want)
				var be *bus.Error
				require.ErrorAs(t, err, &be)
				assert.Contains(t, []bus.Code{"webchat.start-failed", "webchat.start-unknown"}, be.Code)
				assert.Equal(t, []string{"error"}, r.told())
				bad.Remove()
				_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				assert.NoError(t, err, "and nothing is left of it")
			})
		})
	}
}

func TestNoDataURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &webchatservice.Options{Drivers: []chat.Factory{gmsrest.Factory()}})
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
		assert.ErrorContains(t, err, "webchat.dataURL")
		_, err = call(r, webchatservice.Configure, webchatservice.Config{})
		assert.ErrorIs(t, err, webchatservice.ErrInvalidConfig)

		sim := simulator.New(nil)
		defer sim.Close()
		_, err = call(r, webchatservice.Configure, webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(sim)})})
		assert.NoError(t, err)
	})
}

func TestConfigureMovesToAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := chatsim.NewNetwork()
		defer network.Close()
		one := simulator.New(&chatsim.Options{Network: network, Host: "one.test"})
		defer one.Close()
		two := simulator.New(&chatsim.Options{Network: network, Host: "two.test"})
		defer two.Close()
		r := newRig(t, onSim(one))
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.Configure, webchatservice.Config{Wire: webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(two)})})
		require.NoError(t, err)
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "still here"})
		require.NoError(t, err)
		assert.Equal(t, []string{"still here"}, one.Chats()[0].Lines(chatsim.Client), "a chat stays where it is")
		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		r.begin()
		assert.Len(t, one.Chats(), 1)
		assert.Len(t, two.Chats(), 1)
	})
}

// A configuration that no chat can begin with changes nothing.
func TestWrongConfigurationChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		for _, wrong := range []webchatservice.Config{{}, {Wire: webchatservice.NewWire(map[string]any{"dataURL": gmssim.URL(sim), "pollRateMin": 1})}} {
			_, err := call(r, webchatservice.Configure, wrong)
			require.ErrorIs(t, err, webchatservice.ErrInvalidConfig)
			r.begin()
			require.NoError(t, end(r))
		}
		assert.Len(t, sim.Chats(), 2)
	})
}

func TestRestoreOverREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		defer sim.Close()
		opts := onSim(sim)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		time.Sleep(2 * time.Second)
		before := r.lines(chat.RoleAgent)
		require.NotEmpty(t, before)
		r.stop()

		time.Sleep(20 * time.Second)
		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.Equal(t, "WebChatService.restored", events[1].Name(), "after ready")
		assert.Equal(t, before, r.lines(chat.RoleAgent))
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "back"})
		require.NoError(t, err)
	})
}

func TestSecretsStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{APIKey: "CANARY-api-key"})}})
		defer sim.Close()
		opts := onSim(sim)
		setWire(opts, "apikey", "CANARY-api-key")
		r := newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		data, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		key := data.SecureKey.Reveal()
		require.NotEmpty(t, key)
		time.Sleep(5 * time.Second)
		sim.Faults().Add(chatsim.Fault{Op: "send", Status: 403})
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello"})
		require.Error(t, err)
		_, err2 := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err2)
		seen := printed(t, r.take(), err, opts.Config, data)
		assert.NotContains(t, seen, key)
		assert.NotContains(t, seen, "CANARY-api-key")
		after, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, webchatservice.SessionData{}, after)
	})
}

func TestManyServicesAreIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A goroutine that a service had at rest would still be there when the bubble ends.
		for range 100 {
			b := bus.New(nil)
			require.NoError(t, b.Start(t.Context(), webchatservice.New(&webchatservice.Options{Drivers: []chat.Factory{gmsrest.Factory()}})))
			synctest.Wait()
			defer func() { require.NoError(t, b.Close(context.Background())) }()
		}
	})
}
