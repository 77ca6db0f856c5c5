package webchatservice_test

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// robustnessPromises are those on robustness and security (webchatservice 6.4).
func robustnessPromises() []promise {
	return []promise{
		{"6.4", []int{1}, "the secureKey is in cookies and in every `messageReceived`", "it is in `getSessionData` alone", onRig(func(t *testing.T, r *rig, m *chattest.Memory) {
			data, err := call(r, webchatservice.GetSessionData, struct{}{})
			require.NoError(t, err)
			m.AgentSay(id, "Bob", "Hello")
			seen := printed(t, r.take(), data)
			assert.Contains(t, seen, "Hello")
			assert.NotContains(t, seen, data.SecureKey.Reveal())
		})},
		{"6.4", []int{2}, "a failed restore keeps dead cookies, and blocks what follows (C)", "a dead session is cleared, a live one kept; nothing is blocked", func(t *testing.T) {
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
			require.ErrorIs(t, err, webchatservice.ErrRestoreFailed)
			v, err := call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.True(t, v.SessionActive)
			m.Heal()
			m.EndChat(id)
			_, err = call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.ErrorIs(t, err, webchatservice.ErrSessionOver)
			v, err = call(r, webchatservice.VerifySession, struct{}{})
			require.NoError(t, err)
			assert.False(t, v.SessionActive)
		}},
		{"6.4", []int{3}, "no back-off on errors, or one without a cap", "exponential with jitter, at most 8 s while a session lives", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
			defer sim.Close()
			r := newRig(t, onSim(sim))
			defer r.stop()
			r.begin()
			before := len(sim.Requests())
			sim.Faults().Add(chatsim.Fault{Status: 503, Times: -1})
			time.Sleep(time.Minute)
			tries := len(sim.Requests()) - before
			assert.LessOrEqual(t, tries, 13)
			assert.GreaterOrEqual(t, tries, 8)
			sim.Faults().Clear()
			time.Sleep(9 * time.Second)
			assert.NoError(t, send(r, "hi"))
		}},
		{"6.4", []int{3}, "after one failed poll it never polls again (P)", "it goes on", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "refresh", Status: 500})
			time.Sleep(10 * time.Second)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			_, err = ann.Say("Hello")
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			assert.Equal(t, []string{"Hello"}, texts(r.take()))
		})},
		{"6.4", []int{4}, "no queue, no acknowledgement, no id: sending again may double", "an outbox with ids; what may have arrived is never sent again by itself", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "send", Drop: chatsim.DropAfter})
			require.NoError(t, send(r, "once"))
			assert.Equal(t, []string{"once"}, sim.Chats()[0].Lines(chatsim.Client))
		})},
		{"6.4", []int{5}, "one session for a page, with global state", "one for a service, and any number of services", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			for range 5 {
				r := newRig(t, onMemory(m))
				defer r.stop()
				r.begin()
			}
			assert.Equal(t, 5, m.Chats())
		}},
		{"6.4", []int{7}, "unknown options are ignored, `pollRateMin` counts only beside `pollRateMax`", "each counts by itself, and a wrong one is an error with its path", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			setWire(opts, "pollRateMin", 2000)
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			time.Sleep(1900 * time.Millisecond)
			assert.Len(t, sim.Requests(), 1, "the start")
			_, err := r.app.Call(t.Context(), "WebChatService.configure", map[string]any{"pollRateMinimum": 1})
			assert.ErrorContains(t, err, "pollRateMinimum")
		}},
		{"6.4", []int{6}, "`getSessionData` stores and `setSessionData` loads", "a `Store` has `Save`, `Load` and `Delete`, and each does that", func(t *testing.T) {
			store := &namedStore{}
			opts := onMemory(chattest.NewMemory(nil))
			opts.Store = store
			r := newRig(t, opts)
			r.begin()
			r.stop()
			r = newRig(t, opts)
			defer r.stop()
			_, err := call(r, webchatservice.Restore, webchatservice.RestoreIn{})
			require.NoError(t, err)
			require.NoError(t, end(r))
			synctest.Wait()
			calls := slices.Compact(store.calls)
			assert.Contains(t, calls, "save")
			assert.Contains(t, calls, "load")
			assert.Equal(t, "delete", calls[len(calls)-1])
		}},
		{"6.4", []int{7}, "`isTyping` and `pollExceptionLimit` are read and make no difference on some wires", "they count on all", func(t *testing.T) {
			m := chattest.NewMemory(nil)
			opts := onMemory(m)
			opts.Config = &webchatservice.Config{PollExceptionLimit: 2}
			r := newRig(t, opts)
			defer r.stop()
			r.begin()
			on, off := true, false
			for _, is := range []*bool{&on, &off} {
				_, err := call(r, webchatservice.SendTyping, webchatservice.SendTypingIn{IsTyping: is})
				require.NoError(t, err)
				synctest.Wait()
				assert.Equal(t, *is, m.VisitorTyping(id))
			}
			r.take()
			for range 2 {
				m.Unavailable(id, true)
				synctest.Wait()
			}
			assert.Empty(t, r.told())
			m.Unavailable(id, true)
			assert.Equal(t, []string{"chatServerWentOffline"}, r.told())
		}},
		{"6.4", []int{8}, "filters, pre-processors and the preview input cannot be removed", "each has a command that removes it", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			filters, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{Filters: webchatservice.Filters{{Regexp: regexp.MustCompile("Hello")}}})
			require.NoError(t, err)
			out, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{
				PreProcessor: func(m webchatservice.Message) *webchatservice.Message { m.Text = "changed"; return &m },
			})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{Input: func() string { return "typed" }})
			require.NoError(t, err)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			say := func(text string) []string {
				_, err := ann.Say(text)
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				return texts(r.take())
			}
			assert.Empty(t, say("Hello"))
			assert.Equal(t, []string{"changed"}, say("Bye"))
			assert.Equal(t, "typed", c.Snapshot().Preview)

			for number := range filters {
				_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
				require.NoError(t, err)
			}
			_, err = call(r, webchatservice.RemovePreProcessor, webchatservice.RemoveIn{ID: out.ID})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RemoveTypingPreviewInput, struct{}{})
			require.NoError(t, err)
			assert.Equal(t, []string{"Hello"}, say("Hello"))
			assert.Empty(t, c.Snapshot().Preview)
		})},
		{"6.4", []int{9}, "the poll rate is reset by sending, not by receiving", "activity in both directions resets it", onGMS(func(t *testing.T, r *rig, sim *chatsim.Server) {
			time.Sleep(time.Minute)
			c, ok := sim.Chat(sim.Chats()[0].ID)
			require.True(t, ok)
			ann, err := c.Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			time.Sleep(3100 * time.Millisecond)
			before := len(sim.Requests())
			_, err = ann.Say("Hello")
			require.NoError(t, err)
			time.Sleep(3 * time.Second)
			assert.GreaterOrEqual(t, len(sim.Requests())-before, 3)
		})},
		{"6.4", []int{10}, "a file cannot be sent again after a failure, and the limits are left to the server", "it can, and what the limits forbid is not sent", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{MaxFileSize: 4}})}})
			defer sim.Close()
			r := newRig(t, onSim(sim))
			defer r.stop()
			r.begin()
			small := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("1234")}}
			large := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "b.txt", Data: []byte("12345")}}
			_, err := call(r, webchatservice.SendFile, large)
			assert.ErrorIs(t, err, webchatservice.ErrFileRefused)
			sim.Faults().Add(chatsim.Fault{Op: "file", Status: 503})
			_, err = call(r, webchatservice.SendFile, small)
			require.ErrorIs(t, err, webchatservice.ErrRequest)
			_, err = call(r, webchatservice.SendFile, small)
			require.NoError(t, err)
			uploads := 0
			for _, q := range sim.Requests() {
				if q.Op == "file" {
					uploads++
				}
			}
			assert.Equal(t, 2, uploads, "not the large one")
			assert.Len(t, sim.Chats()[0].Files, 1)
		}},
		{"6.4", []int{11}, "addresses are compiled in", "all come from the configuration", func(t *testing.T) {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			defer sim.Close()
			opts := onSim(sim)
			var mu sync.Mutex
			dialled := map[string]bool{}
			opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				mu.Lock()
				dialled[address] = true
				mu.Unlock()
				return sim.DialContext(ctx, network, address)
			}
			r := newRig(t, opts)
			defer r.stop()
			for _, command := range []string{"configure", "startChat", "sendTyping", "getFileLimits", "sendFile", "sendCustomNotice", "endChat", "restore"} {
				_, _ = r.app.Call(t.Context(), "WebChatService."+command, nil) // what becomes of them does not matter here
			}
			_, err := call(r, webchatservice.Configure, *opts.Config)
			require.NoError(t, err)
			r.begin()
			u, err := url.Parse(gmssim.URL(sim))
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			assert.Len(t, dialled, 1)
			for address := range dialled {
				host, _, err := net.SplitHostPort(address)
				require.NoError(t, err)
				assert.Equal(t, u.Hostname(), host)
			}
		}},
	}
}
