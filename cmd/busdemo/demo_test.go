package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// conversationOrder is what a demo shows, in this order, on every wire.
var conversationOrder = []string{
	"plugin WebChatService", "event WebChatService.ready", "plugin Statistics",
	"note chat", "command WebChatService.startChat", "event WebChatService.started", "event WebChatService.clientConnected",
	"result WebChatService.startChat",
	"event WebChatService.agentConnected", "event WebChatService.messageReceived",
	"command WebChatService.sendTyping", "command WebChatService.sendMessage", // its result may come after the next event
	"event WebChatService.agentTypingStarted", "event WebChatService.agentTypingStopped",
	"note transfer", "command WebChatService.sendMessage", "event WebChatService.agentConnected", "event WebChatService.agentDisconnected",
	"note download", "command WebChatService.sendMessage", "command WebChatService.downloadFile", "result WebChatService.downloadFile",
	"note upload", "command WebChatService.sendFile", "result WebChatService.sendFile",
	"note network", "event WebChatService.disconnected", "command WebChatService.sendMessage", "event WebChatService.reconnected",
	"event WebChatService.messageReceived", "event WebChatService.agentTypingStopped", "event WebChatService.messageReceived",
	"note restart", "plugin WebChatService", "plugin WebChatService", "event WebChatService.ready",
	"command WebChatService.restore", "event WebChatService.restored", "event WebChatService.messageReceived", "result WebChatService.restore",
	"command WebChatService.sendMessage", "event WebChatService.messageReceived",
	"note end", "command WebChatService.endChat", "event WebChatService.ended",
	"command WebChatService.getTranscript", "result WebChatService.getTranscript",
	"command Statistics.report", "result Statistics.report", "plugin WebChatService",
}

// demoRuns are the ways to play the demo, with the wire that each takes.
var demoRuns = []struct{ args, wire string }{
	{"", "gms"}, {"demo", "gms"}, {"demo --transport gms", "gms"}, {"demo --transport gms-cometd", "cometd"},
}

func TestDemo(t *testing.T) {
	for _, run := range demoRuns {
		t.Run(run.args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				got := trial{}.run(t, strings.Fields(run.args)...)
				got.requireOK(t)
				assert.Less(t, time.Since(start), 8*time.Second)

				var names []string
				for _, l := range strings.Split(got.stdout, "\n") {
					if f := strings.Fields(l); len(f) > 2 {
						names = append(names, f[1]+" "+f[2])
					}
				}
				assertOrder(t, strings.Join(names, "\n"), conversationOrder...)
				assert.Equal(t, 5, strings.Count(got.stdout, "event    Statistics.answered"))
				assertOrder(t, got.stdout, "0.000  plugin ", "0.000  event    WebChatService.ready",
					"leaflet.txt, 69 bytes", "receipt.txt, 53 bytes", "Vera sent the file receipt.txt",
					"\nTranscript\n", "Ann (agent) joined", "Ann: Hello Vera", "Vera: "+firstLine, "Ann: You said: "+firstLine,
					"Vera: transfer", "Bob (agent) joined", "Ann (agent) left", "Bob: Hello Vera",
					"Bob sent the file leaflet.txt", "Vera sent the file receipt.txt", "Vera: "+cutLine, "Bob: You said: "+cutLine,
					"Vera: "+lastLine, "Bob: You said: "+lastLine,
					"\nStatistics\n", "agents: Ann, Bob", "Vera (client) said 5 lines", "5 answers")
				assert.NotContains(t, got.stdout, "\x1b", "colours are for terminals")
				assert.NotContains(t, got.stdout, "ajaxResponse")
				got.assertEnded(t)
				require.Len(t, got.sim.Chats(), 1)
				for _, r := range got.sim.Requests() {
					assert.Contains(t, []string{run.wire, "files"}, r.Wire)
				}
			})
		})
	}
}

// TestDemoTranscript: what the demo shows is what the server knows, each line once.
func TestDemoTranscript(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		synctest.Test(t, func(t *testing.T) {
			got := trial{}.run(t, "demo", "--transport", wire)
			got.requireOK(t)
			require.Len(t, got.sim.Chats(), 1)
			c := got.sim.Chats()[0]
			assert.Equal(t, []string{firstLine, transferLine, fileLine, cutLine, lastLine}, c.Lines(chatsim.Client))
			require.Len(t, c.Files, 2)
			assert.Equal(t, receipt, string(c.Files[1].Data))
			_, transcript, _ := strings.Cut(got.stdout, "\nTranscript\n")
			for _, e := range c.Events {
				if e.Type == chatsim.Message {
					assert.Equal(t, 1, strings.Count(transcript, e.From.Nickname+": "+e.Text+"\n"), e.Text)
				}
			}
		})
	}
}

func TestDemoJSON(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		synctest.Test(t, func(t *testing.T) {
			got := trial{}.run(t, "--json", "--transport", wire)
			got.requireOK(t)
			var names []string
			for _, l := range strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n") {
				var fields map[string]json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(l), &fields), l)
				assert.ElementsMatch(t, []string{"time", "kind", "name", "by", "data", "error"}, slices.Collect(maps.Keys(fields)))
				var e struct {
					Time           time.Time
					Kind, Name, By string
				}
				require.NoError(t, json.Unmarshal([]byte(l), &e))
				assert.Contains(t, []string{"plugin", "command", "result", "event", "note"}, e.Kind)
				assert.NotEmpty(t, e.By, l)
				assert.Equal(t, time.UTC, e.Time.Location())
				assert.JSONEq(t, "null", string(fields["error"]), l)
				names = append(names, e.Kind+" "+e.Name)
				if e.Kind == "result" && e.Name == "Statistics.report" {
					var figures struct{ Data Figures }
					require.NoError(t, json.Unmarshal([]byte(l), &figures))
					assert.Equal(t, 1, figures.Data.Chats)
					assert.Equal(t, []string{"Ann", "Bob"}, figures.Data.Agents)
					assert.Equal(t, 5, figures.Data.Answers)
				}
			}
			assertOrder(t, strings.Join(names, "\n"), conversationOrder...)
		})
	}
}

func TestDemoSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{}.run(t, "demo", "--say", "one", "--say", "bye", "--say", "never said")
		got.requireOK(t)
		assertOrder(t, got.stdout, "Vera: one", "Ann: You said: one", "Vera: bye", "Goodbye")
		assert.Contains(t, got.stdout, "WebChatService.ended  by agent")
		assert.NotContains(t, got.stdout, "never said")
		assert.NotContains(t, got.stdout, "WebChatService.endChat", "the agent has ended the chat")
	})
}

func TestDemoNobodyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A server whose agents are out: the standard script's answer to startChat is a chat that
		// nobody joins, since every poll fails for as long as the visitor waits.
		got := trial{prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "refresh", Times: -1, Details: gmssim.Fault{StatusCode: 1}})
		}}.run(t, "demo", "--patience", "3s")
		got.assertLine(t, exitFailure, "no agent joined within 3s", "--patience")
		got.assertEnded(t)
	})
}

// TestInterrupt: Ctrl-C at any moment ends the chat on the server, shows the transcript so far, and gives
// status 130.
func TestInterrupt(t *testing.T) {
	moments := []string{
		"plugin   WebChatService  starting", "WebChatService.ready", "command  WebChatService.startChat", "WebChatService.started",
		"result   WebChatService.startChat", "WebChatService.agentConnected", "command  WebChatService.sendTyping",
		"command  WebChatService.sendMessage", "WebChatService.messageStateChanged", "WebChatService.agentTypingStarted",
		"Statistics.answered", "“transfer”", "WebChatService.agentDisconnected",
		"command  WebChatService.downloadFile", "command  WebChatService.sendFile",
		"note     network", "WebChatService.disconnected", "WebChatService.reconnected",
		"note     restart", "plugin   WebChatService  stopping", "plugin   WebChatService  stopped", "command  WebChatService.restore",
		"WebChatService.restored",
	}
	for _, wire := range []string{"gms", "gms-cometd"} {
		for _, moment := range moments {
			t.Run(wire+"/"+moment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got := trial{interrupt: moment}.run(t, "demo", "--transport", wire)
					assert.Equal(t, exitInterrupted, got.status)
					if got.stderr != "" { // it took a while
						got.assertLine(t, exitInterrupted, "ending the chat; Ctrl-C once more quits at once")
					}
					assertOrder(t, got.stdout, moment, "Transcript")
					got.assertEnded(t)
				})
			})
		}
	}
}

func TestInterruptAtTheEnd(t *testing.T) {
	for _, moment := range []string{"note     end", "command  WebChatService.endChat", "WebChatService.ended", "Statistics.report"} {
		synctest.Test(t, func(t *testing.T) {
			got := trial{interrupt: moment}.run(t)
			assert.Contains(t, []int{exitOK, exitInterrupted}, got.status, "it had said all it had to say")
			assertOrder(t, got.stdout, moment, "Transcript", "Vera: "+lastLine, "Statistics")
			got.assertEnded(t)
		})
	}
}

// TestInterruptSilentServer: a server that has ceased to answer does not keep the program.
func TestInterruptSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := trial{interrupt: "command  WebChatService.startChat", prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Times: -1, Delay: time.Hour})
		}}.run(t)
		assert.Equal(t, exitInterrupted, got.status)
		assert.Contains(t, got.stdout, "nothing was said")
		assert.Less(t, time.Since(start), 2*closeTimeout)
	})
}

func TestBadServer(t *testing.T) {
	fault := func(f chatsim.Fault) func(*chatsim.Server) {
		f.Times = -1
		return func(s *chatsim.Server) { s.Faults().Add(f) }
	}
	tests := []struct {
		name    string
		prepare func(*chatsim.Server)
		want    []string
	}{
		{"unreachable", func(s *chatsim.Server) { s.Network().Refuse() }, []string{"no connection", "refused", "webchat.dataURL"}},
		{"refuses", fault(chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 306, Advice: "\x1b]0;pwned\x07 no such service"}}}}), []string{"306", "webchat.dataURL"}},
		{"HTML", fault(chatsim.Fault{Status: 200, Body: []byte("<html>")}), []string{"HTML", "webchat.dataURL"}},
		{"truncated JSON", fault(chatsim.Fault{Truncate: 20}), []string{"broken JSON"}},
		{"invalid UTF-8", fault(chatsim.Fault{Status: 200, Body: []byte("{\"chatId\":\"\xff\"}")}), []string{"UTF-8"}},
		{"nested deep", fault(chatsim.Fault{Status: 200, Body: []byte(strings.Repeat("[", 100_000))}), []string{"JSON"}},
		{"never answers", fault(chatsim.Fault{Delay: time.Hour}), []string{"did not answer within 3s", "webchat.ajaxTimeout"}},
		{"answers without end", fault(chatsim.Fault{Pad: 2 << 30}), []string{"busdemo"}},
	}
	for _, tt := range tests {
		for _, command := range []string{"demo", "chat"} {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got := trial{prepare: tt.prepare}.run(t, command)
					got.assertLine(t, exitFailure, tt.want...)
					assert.NotContains(t, got.stderr+got.stdout, "\x1b")
					assert.NotContains(t, got.stdout, "Transcript", "there was no chat")
				})
			})
		}
	}
}

func TestBadConfig(t *testing.T) {
	tests := []struct {
		name, content string
		want          []string
	}{
		{"unknown option", "webchat:\n  datURL: http://x\n", []string{"webchat.datURL", "unknown option", "did you mean webchat.dataURL?"}},
		{"unknown section", "webchta:\n  dataURL: http://x\n", []string{"webchta", "did you mean webchat?"}},
		{"wrong type", "webchat:\n  dataURL: http://x\n  pollRate: fast\n", []string{"webchat.pollRate"}},
		{"out of range", "webchat:\n  dataURL: http://x\n  pollRate: 3\n", []string{"webchat.pollRate", "3 is out of range", "1000 to 30000"}},
		{"no dataURL", "webchat:\n  ajaxTimeout: 100\n", []string{"webchat.dataURL", "is missing"}},
		{"bad dataURL", "webchat:\n  dataURL: 'ftp://x'\n", []string{"webchat.dataURL"}},
		{"no driver", "webchat:\n  transport:\n    type: purecloud-v2-sockets\n", []string{"purecloud-v2-sockets"}},
		{"not YAML", "webchat: [\n", []string{"webchat.yaml"}},
	}
	for _, tt := range tests {
		for _, command := range []string{"demo", "chat"} {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "webchat.yaml")
				require.NoError(t, os.WriteFile(file, []byte(tt.content), 0o600))
				got := trial{}.run(t, command, "--config", file)
				got.assertLine(t, exitFailure, tt.want...)
			})
		}
	}
}

// TestBadConfigHasALineForEach holds that several mistakes do not make one long line.
func TestBadConfigHasALineForEach(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webchat.yaml")
	require.NoError(t, os.WriteFile(file, []byte("webchat:\n  pollRate: 3\n  datURL: http://x\nwebchta: {}\n"), 0o600))
	got := trial{}.run(t, "demo", "--config", file)
	assert.Equal(t, exitFailure, got.status)
	lines := strings.Split(got.stderr, "\n")
	require.Len(t, lines, 4, got.stderr)
	for i, want := range []string{":2: webchat.pollRate: 3 is out of range", ":3: webchat.datURL: unknown option", ":4: webchta: unknown section"} {
		assert.True(t, strings.HasPrefix(lines[i], "busdemo: "), lines[i])
		assert.Contains(t, lines[i], want)
	}
	assert.Empty(t, lines[3])
}

// TestEnvironment: the variables count without a file too.
func TestEnvironment(t *testing.T) {
	t.Setenv("CXBUS_WEBCHAT_POLLRATEMIN", "3")
	trial{}.run(t).assertLine(t, exitFailure, "CXBUS_WEBCHAT_POLLRATEMIN", "webchat.pollRateMin", "out of range")
	t.Setenv("CXBUS_WEBCHAT_POLLRATEMIN", "300")
	t.Setenv("CXBUS_WEBCHAT_MAXMESSAGELENGTH", "4")
	synctest.Test(t, func(t *testing.T) {
		trial{}.run(t, "--say", "hello").assertLine(t, exitFailure, "Message length exceeds configured threshold of (4) characters")
	})
}

// TestNetworkComesBack: a network that is down in the middle of the chat costs nothing.
func TestNetworkComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{prepare: func(s *chatsim.Server) {
			time.AfterFunc(700*time.Millisecond, s.Network().Refuse)
			time.AfterFunc(5700*time.Millisecond, s.Network().Heal)
		}}.run(t)
		got.requireOK(t)
		assertOrder(t, got.stdout, "WebChatService.disconnected", "WebChatService.reconnected", "WebChatService.ended",
			"Transcript", "Vera: "+firstLine, "Vera: transfer", "Vera: "+lastLine, "Statistics", "Vera (client) said 5 lines")
	})
}

type brokenPipe struct{ after int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	b.after -= len(p)
	if b.after < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

// TestReaderGoesAway: the chat is ended when nobody reads the output any more.
func TestReaderGoesAway(t *testing.T) {
	for _, args := range [][]string{{"demo"}, {"demo", "--json"}, {"chat"}} {
		for _, after := range []int{0, 200, 1000} {
			synctest.Test(t, func(t *testing.T) {
				var stderr strings.Builder
				var sim *chatsim.Server
				stdin, typing := pipe(t, typed{time.Second, "hello"}, typed{2 * time.Second, "transfer"}, typed{3 * time.Second, "hello"}, typed{time.Second, strings.Repeat("x", 1000)})
				p := &program{stdin: stdin, stdout: &brokenPipe{after}, stderr: &stderr, newSim: func(o *chatsim.Options) *chatsim.Server {
					sim = simulator.New(o)
					return sim
				}}
				assert.Equal(t, exitFailure, p.run(t.Context(), args))
				typing()
				outcome{status: exitFailure, stderr: stderr.String(), sim: sim}.assertLine(t, exitFailure, "write", "broken pipe")
				outcome{sim: sim}.assertEnded(t)
			})
		}
	}
}
