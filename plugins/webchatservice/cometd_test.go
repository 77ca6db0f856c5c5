package webchatservice_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// The carriers of CometD.
const (
	websockets  = "Websocket"
	longPolling = "LongPolling"
)

// onCometD returns the options for a service that talks to sim over CometD.
func onCometD(sim *chatsim.Server, carrier string) *webchatservice.Options {
	return &webchatservice.Options{
		Drivers: []chat.Factory{gmscometd.Factory()},
		Config: &webchatservice.Config{
			CometD: webchatservice.CometD{Enabled: true},
			Wire: webchatservice.NewWire(map[string]any{"cometD": map[string]any{
				"cometURL": cometdsim.URL(sim), "apiURL": cometdsim.FilesURL(sim), "websocketEnabled": carrier == websockets,
			}}),
		},
		Dial: sim.DialContext,
	}
}

// overCometD runs a test over each carrier, in a bubble with a simulator.
func overCometD(t *testing.T, o chatsim.Options, f func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options)) {
	for _, carrier := range []string{websockets, longPolling} {
		t.Run(carrier, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&o)
				defer func() { require.NoError(t, sim.Close()) }()
				f(t, sim, onCometD(sim, carrier))
			})
		})
	}
}

// only returns the chat that sim has.
func only(t *testing.T, sim *chatsim.Server) *chatsim.Chat {
	t.Helper()
	chats := sim.Chats()
	require.Len(t, chats, 1)
	c, ok := sim.Chat(chats[0].ID)
	require.True(t, ok)
	return c
}

func TestConversationOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		answer, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		assert.Contains(t, string(answer.Answer), `"statusCode"`)
		assert.Equal(t, []string{"started", "clientConnected", "messageReceived"}, r.told(), "and no polling")
		_, err = call(r, webchatservice.StartPoll, struct{}{})
		require.ErrorIs(t, err, webchatservice.ErrNoPolling)
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"agentConnected", "messageReceived"}, slices.Compact(r.told()), "lines that come together may be one event")

		out, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "transfer"})
		require.NoError(t, err)
		assert.Contains(t, string(out.Answer.Answer), `"statusCode"`)
		time.Sleep(5 * time.Second)
		assert.Subset(t, r.told(), []string{"agentTypingStarted", "agentTypingStopped", "agentConnected", "agentDisconnected"})
		agents, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Len(t, agents.Agents, 2)
		assert.Equal(t, 1, agents.NumAgentsConnected)

		_, err = call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{Message: "by"})
		require.NoError(t, err)
		_, err = call(r, webchatservice.UpdateUserData, map[string]any{"mood": "well"})
		require.NoError(t, err)
		_, err = call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: "ping"})
		require.NoError(t, err)
		assert.Equal(t, "well", only(t, sim).Snapshot().UserData["mood"])
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "bye"})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndAgent, ServerTold: true},
			payload[webchatservice.EndedData](t, r.take(), "ended"))
		assert.Equal(t, []string{"transfer", "bye"}, r.lines(chat.RoleClient))
	})
}

func TestEndChatOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
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
		assert.Equal(t, 1, count(told, "clientDisconnected"))
		assert.True(t, sim.Chats()[0].Ended)
		assert.Empty(t, cometdsim.Of(sim).Clients(), "the Bayeux session was left too")
	})
}

// A command settles when the transcript shows it, not when it was written, nor when Bayeux took it.
func TestSettledByTheTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer func() { require.NoError(t, sim.Close()) }()
		r := newRig(t, onCometD(sim, websockets))
		defer r.stop()
		r.begin()
		// Bayeux acknowledges at once; the chat server takes its time.
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Late: 2 * time.Second})
		f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "Hello"})
		begin := time.Now()
		_, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(begin))
		// What never shows is not said to be sent.
		lost := sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Times: -1, Late: time.Hour})
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "lost"})
		require.ErrorIs(t, err, webchatservice.ErrSendUnknown)
		lost.Remove()
		assert.Equal(t, []string{"Hello"}, r.lines(chat.RoleClient))
	})
}

// The link breaks and comes back: one event each, nothing lost, nothing twice.
func TestPartitionOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		r.take()
		for _, cut := range []func(){sim.Network().Partition, sim.Network().Refuse, sim.Network().Stall} {
			cut()
			_, err = ann.Say("are you there?")
			require.NoError(t, err)
			time.Sleep(time.Minute)
			f := start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "can you hear me"})
			time.Sleep(time.Minute)
			sim.Network().Heal()
			_, err = f.Result(t.Context())
			require.NoError(t, err)
			time.Sleep(20 * time.Second)
			told := r.told()
			assert.Equal(t, 1, count(told, "disconnected"))
			assert.Equal(t, 1, count(told, "reconnected"))
			assert.Equal(t, 0, count(told, "error"))
		}
		want := []string{"can you hear me", "can you hear me", "can you hear me"}
		assert.Equal(t, want, sim.Chats()[0].Lines(chatsim.Client))
		assert.Equal(t, want, r.lines(chat.RoleClient))
		assert.Len(t, r.lines(chat.RoleAgent), 3)
	})
}

// A server that stays away costs the session: chatServerTimeout, and one end.
func TestChatServerTimeoutOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		time.Sleep(2 * time.Second)
		r.take()
		sim.Network().Refuse()
		time.Sleep(2 * time.Hour)
		events := r.take()
		assert.Equal(t, webchatservice.EndedData{Reason: webchatservice.EndLost}, payload[webchatservice.EndedData](t, events, "ended"))
		var names []string
		for _, e := range events {
			switch e.Name() {
			case "WebChatService.disconnected", "WebChatService.reconnected", "WebChatService.chatServerTimeout", "WebChatService.ended":
				names = append(names, e.Name()[len("WebChatService."):])
			}
		}
		assert.Equal(t, []string{"disconnected", "chatServerTimeout", "ended"}, names)
		sim.Network().Heal()
	})
}

// A start and a message go through although the server fails for a moment, at the Bayeux handshake or at the request.
func TestServerFailsForAMoment(t *testing.T) {
	for _, status := range []int{408, 425, 500, 502, 503} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			overCometD(t, chatsim.Options{Script: chatsim.Nobody}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
				sim.Faults().Add(chatsim.Fault{Op: "upgrade", Status: 403, Times: -1}) // so that both come to the handshake by HTTP
				sim.Faults().Add(chatsim.Fault{Op: "/meta/handshake", Status: status})
				r := newRig(t, opts)
				defer r.stop()
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
				require.NoError(t, err)
				if status < 500 { // what is behind a server that failed may have taken the message
					sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Status: status})
				}
				_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello"})
				require.NoError(t, err)
				chat := only(t, sim)
				said := 0
				for _, e := range chat.Snapshot().Events {
					if e.Text == "hello" {
						said++
					}
				}
				assert.Equal(t, 1, said)
			})
		})
	}
}

// A Bayeux session that is forgotten is no loss: the chat goes on in another one, and nobody is told.
func TestForgottenBayeuxSession(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		r.take()
		for n := range 3 {
			cometdsim.Of(sim).ForgetClients()
			_, err = ann.Say(fmt.Sprint(n))
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		told := r.told()
		assert.Equal(t, []string{"0", "1", "2"}, r.lines(chat.RoleAgent))
		assert.Zero(t, count(told, "disconnected"), told)
	})
}

// A long-lived chat outlives its agents, the program and a night: what is taken up is its last page, and what was
// not seen; fetchHistory brings the rest page by page, newest first, until there is no more.
func TestAsyncOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		opts.Config.Async = webchatservice.Async{Enabled: true, MaxMessagePageSize: 10}
		opts.Config.UserData = map[string]any{"shop": "north"}
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		c := only(t, sim)
		assert.Equal(t, "true", c.Snapshot().UserData["GCTI_Chat_AsyncMode"])
		_, err := call(r, webchatservice.FetchHistory, struct{}{})
		require.ErrorIs(t, err, webchatservice.ErrNoHistory, "all of it is here")
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		for n := range 30 {
			_, err = ann.Say(fmt.Sprint("ann ", n))
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		require.NoError(t, ann.Leave())
		time.Sleep(time.Minute)
		assert.Zero(t, count(r.told(), "ended"), "the agent left, and the chat lives")
		r.stop()

		time.Sleep(20 * time.Hour)
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		for n := range 25 {
			_, err = bob.Say(fmt.Sprint("bob ", n))
			require.NoError(t, err)
		}
		r = newRig(t, opts)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		events := r.take()
		assert.True(t, payload[webchatservice.RestoredData](t, events, "restored").Async)
		assert.Equal(t, "bob 0", r.lines(chat.RoleAgent)[0], "from what was not seen on")
		r.stop()

		// Once more, when all was seen: the last page.
		requests := len(sim.Requests())
		r = newRig(t, opts)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		var ops, positions []string
		for _, q := range sim.Requests()[requests:] {
			if q.Op == "refresh" || q.Op == "requestNotifications" {
				ops, positions = append(ops, q.Op), append(positions, q.Params["transcriptPosition"])
			}
			if q.Op == "requestNotifications" {
				assert.Equal(t, map[string]string{"GCTI_Chat_AsyncMode": "true", "shop": "north"}, q.UserData)
			}
		}
		assert.Equal(t, []string{"refresh", "requestNotifications"}, ops)
		last := c.Snapshot().Events[len(c.Snapshot().Events)-1].Index
		assert.Equal(t, []string{"-1", fmt.Sprint(last - 10)}, positions)
		assert.Len(t, r.lines(chat.RoleAgent), 11)
		agents, err := call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, 1, agents.NumAgentsConnected, "Bob is there, though his joining is not")
		r.take()

		pages := 0
		oldest := int64(last - 10)
		for {
			_, err = call(r, webchatservice.FetchHistory, struct{}{})
			if err != nil {
				break
			}
			pages++
			d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
			assert.True(t, d.OldMessages)
			for i, m := range d.Messages {
				oldest--
				assert.Equal(t, oldest, m.Index, "newest first, and without a hole")
				assert.Equal(t, m.Original, d.OriginalMessages[i])
			}
		}
		require.ErrorIs(t, err, webchatservice.ErrNoHistory)
		assert.EqualValues(t, 1, oldest)
		assert.Equal(t, int((last-10-1+9)/10), pages)
		assert.Len(t, r.lines(chat.RoleAgent), 55)
		agents, err = call(r, webchatservice.GetAgents, struct{}{})
		require.NoError(t, err)
		assert.Len(t, agents.Agents, 2, "and Ann was there")
		assert.Equal(t, 1, agents.NumAgentsConnected)

		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "good morning"})
		require.NoError(t, err)
		_, err = bob.Say("good morning")
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"good morning"}, r.lines(chat.RoleClient))
		_, err = call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, err)
		assert.True(t, c.Snapshot().Ended)
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		require.ErrorIs(t, err, webchatservice.ErrNoSession)
		r.stop()
	})
}

// A long-lived chat that is over, or that the server does not know, is not taken up.
func TestAsyncIsOver(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		opts.Config.Async.Enabled = true
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()
		only(t, sim).End()
		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.ErrorIs(t, err, webchatservice.ErrSessionOver)
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.ErrorIs(t, err, webchatservice.ErrNothingStored, "and is forgotten")
	})
}

// A page of history that fails changes nothing, and can be asked for again.
func TestHistoryFails(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		opts.Config.Async = webchatservice.Async{Enabled: true, MaxMessagePageSize: 5}
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		for n := range 20 {
			_, err = ann.Say(fmt.Sprint(n))
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		r.stop()
		r = newRig(t, opts)
		defer r.stop()
		_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		r.take()
		sim.Faults().Add(chatsim.Fault{Op: "refresh", Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 204, Advice: "no"}}}})
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		require.ErrorIs(t, err, webchatservice.ErrRequest)
		assert.Zero(t, count(r.told(), "messageReceived"))
		// Two at once are two pages.
		one := start(r, t.Context(), webchatservice.FetchHistory, struct{}{})
		two := start(r, t.Context(), webchatservice.FetchHistory, struct{}{})
		_, err = one.Result(t.Context())
		require.NoError(t, err)
		_, err = two.Result(t.Context())
		require.NoError(t, err)
		var indices []int64
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
				for _, m := range d.Messages {
					indices = append(indices, m.Index)
				}
			}
		}
		assert.Len(t, indices, 10)
		slices.Reverse(indices)
		assert.True(t, slices.IsSorted(indices), "%v", indices)
	})
}

// The chat server behind GMS is away: that is told once, after six refusals, and once when it is back. The link is
// not lost, and nothing else is.
func TestChatServerOfflineOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(time.Second)
		r.take()
		away := sim.Faults().Add(chatsim.Fault{Op: "requestNotifications", Times: -1, Details: gmssim.Fault{StatusCode: 1}})
		cometdsim.Of(sim).ForgetClients()
		time.Sleep(time.Minute)
		_, err = ann.Say("are you there?")
		require.NoError(t, err)
		assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		away.Remove()
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"chatServerBackOnline", "messageReceived"}, r.told())
	})
}

// A session can be restored while the chat server is away; what is said comes once that is back.
func TestRestoredOfflineOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()
		away := sim.Faults().Add(chatsim.Fault{Op: "requestNotifications", Times: -1, Details: gmssim.Fault{StatusCode: 1}})
		r = newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
		require.NoError(t, err)
		told := r.told()
		assert.Equal(t, 1, count(told, "restored"))
		assert.Equal(t, 1, count(told, "restoredOffline"))
		ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		away.Remove()
		time.Sleep(5 * time.Second)
		_, err = ann.Say("Hello")
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"Hello"}, r.lines(chat.RoleAgent))
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "Hello"})
		require.NoError(t, err)
	})
}

// A server that has the link and says nothing of the chat is given up in the end, as one that cannot be reached.
func TestNeverAttachedOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		sim.Faults().Add(chatsim.Fault{Op: "requestNotifications", Times: -1, Details: cometdsim.Fault{Unsuccessful: "500::no"}})
		cometdsim.Of(sim).ForgetClients()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 1, count(r.told(), "disconnected"), "after 30 attempts, 3 s apart")
		time.Sleep(time.Hour)
		var names []string
		for _, name := range r.told() {
			switch name {
			case "disconnected", "reconnected", "chatServerTimeout", "ended":
				names = append(names, name)
			}
		}
		assert.Equal(t, []string{"chatServerTimeout", "ended"}, names)
	})
}

// Files go over cometD.apiURL, their lines are pushed.
func TestFilesOverCometD(t *testing.T) {
	overCometD(t, chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{MaxFileSize: 100, Types: []string{"txt"}}})}}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.GetFileLimits, struct{}{})
		require.NoError(t, err)
		_, err = call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: make([]byte, 101)}})
		require.Error(t, err, "beyond the limit")
		_, err = call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("the bill")}})
		require.NoError(t, err)
		time.Sleep(time.Second)
		d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
		require.Len(t, d.Messages, 1)
		assert.Equal(t, chat.KindFileUploaded, d.Messages[0].Type)
		var b bytes.Buffer
		_, err = call(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: d.Messages[0].FileDetails["file-id"].(string), Writer: &b})
		require.NoError(t, err)
		assert.Equal(t, "the bill", b.String())
		for _, q := range sim.Requests() {
			assert.Equal(t, q.Wire == "files", q.Path == "/genesys/2/chat-ntf", q.Path)
		}
	})
}

// Neither the key of the session nor what is configured as a secret shows anywhere: events, errors, logs.
func TestSecretsStaySecretOverCometD(t *testing.T) {
	const canary = "CANARY-api-key"
	overCometD(t, chatsim.Options{SilenceLimit: -1, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{APIKey: canary})}}, func(t *testing.T, sim *chatsim.Server, opts *webchatservice.Options) {
		setWire(opts, "apikey", canary)
		var logged bytes.Buffer
		r := &rig{t: t, bus: bus.New(&bus.Options{Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})}
		var err error
		r.app, err = r.bus.Register("App")
		require.NoError(t, err)
		r.app.Ready()
		_, err = r.app.Subscribe("WebChatService.*", func(_ context.Context, e bus.Event[any]) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		})
		require.NoError(t, err)
		require.NoError(t, r.bus.Start(t.Context(), webchatservice.New(opts)))
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		data, err := call(r, webchatservice.GetSessionData, struct{}{})
		require.NoError(t, err)
		key := data.SecureKey.Reveal()
		require.NotEmpty(t, key)
		time.Sleep(5 * time.Second)
		cometdsim.Of(sim).DropSockets()
		sim.Network().Reset()
		sim.Faults().Add(chatsim.Fault{Op: "upgrade", Status: 403})
		sim.Faults().Add(chatsim.Fault{Op: "push", Rewrite: func([]byte) []byte { return []byte(`{"secureKey":"` + key + `"`) }})
		sim.Faults().Add(chatsim.Fault{Op: "sendMessage", Details: cometdsim.Fault{Unsuccessful: "403::no " + key}})
		_, err = call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "hello"})
		time.Sleep(time.Minute)
		_, end := call(r, webchatservice.EndChat, struct{}{})
		require.NoError(t, end)
		events := r.take()
		r.stop()
		seen := printed(t, events, err, opts.Config, data) + logged.String()
		assert.False(t, bytes.Contains([]byte(seen), []byte(key)), "the secureKey shows")
		assert.NotContains(t, seen, canary)
	})
}
