package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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

// loadFigures are what busdemo load --json prints, as far as tests look at it.
type loadFigures struct {
	Transport  string
	Sessions   int
	EndedEarly int
	Seconds    float64
	tally
	Balanced  bool
	LatencyMs map[string]struct {
		Count              int
		P50, P90, P99, Max float64
	}
}

func figuresOf(t *testing.T, got outcome) (f loadFigures) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &f), got.stdout)
	return f
}

// TestLoad: every line is sent, confirmed, received and answered once, on every wire.
func TestLoad(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := trial{}.run(t, "load", "--transport", wire, "--sessions", "7", "--rate", "20", "--for", "10s", "--json")
			assert.Equal(t, exitOK, got.status, got.stderr)
			assert.Less(t, time.Since(start), 20*time.Second)
			f := figuresOf(t, got)
			assert.Equal(t, wire, f.Transport)
			assert.Equal(t, 7, f.Sessions)
			assert.InDelta(t, 10, f.Seconds, 0.001)
			assert.Equal(t, tally{Sent: 200, Confirmed: 200, Received: 407, Own: 200}, f.tally)
			assert.True(t, f.Balanced)
			for _, name := range []string{"confirmed", "received", "answered"} {
				l := f.LatencyMs[name]
				assert.Equal(t, 200, l.Count, name)
				assert.LessOrEqual(t, l.P50, l.P90)
				assert.LessOrEqual(t, l.P90, l.P99)
				assert.LessOrEqual(t, l.P99, l.Max)
				assert.Less(t, l.Max, 1100.0, name)
			}
			got.assertEnded(t)
			chats := got.sim.Chats()
			require.Len(t, chats, 7)
			lines := 0
			for _, c := range chats {
				lines += len(c.Lines(chatsim.Client))
			}
			assert.Equal(t, 200, lines)
			assert.Regexp(t, `(?m)^   5s  7 chats  sent \d+  confirmed \d+  unknown 0  failed 0  received \d+$`, got.stderr)
		})
	}
}

// TestLoadUnderFaults: on a bad network each line still ends in one state, and a true one.
func TestLoadUnderFaults(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		for _, seed := range []string{"1", "2"} {
			synctest.Test(t, func(t *testing.T) {
				got := trial{}.run(t, "load", "--transport", wire, "--sessions", "3", "--rate", "4", "--for", "30s",
					"--faults", "500ms", "--seed", seed, "--json")
				assert.Equal(t, exitOK, got.status, got.stderr)
				f := figuresOf(t, got)
				assert.True(t, f.Balanced)
				assert.Equal(t, 120, f.Sent)
				assert.Greater(t, f.Confirmed, 60)
				lines, faults := 0, 0
				for _, c := range got.sim.Chats() {
					lines += len(c.Lines(chatsim.Client))
				}
				for _, r := range got.sim.Requests() {
					if r.Faulty {
						faults++
					}
				}
				assert.GreaterOrEqual(t, lines, f.Confirmed)
				assert.LessOrEqual(t, lines, f.Confirmed+f.Unknown)
				assert.Positive(t, faults)
			})
		}
	}
}

// TestLoadDoesNotBalance: a server that says it has lines and has not is found out.
func TestLoadDoesNotBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "send", Skip: 5, Times: 3, Status: 200, Body: []byte(`{"statusCode":0,"chatEnded":false,"messages":[]}`)})
		}}.run(t, "load", "--sessions", "2", "--rate", "10", "--for", "2s")
		assert.Equal(t, exitFailure, got.status)
		assert.Contains(t, got.stderr, "busdemo: the ledger does not balance")
		assertOrder(t, got.stdout, "Load", "2 chats over gms, 2.0 s", "Ledger", "sent", "20", "confirmed", "20", "lost", "3", "it does not balance", "Latency", "p50")
	})
}

func TestLoadEndedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "refresh", Skip: 20, EndChat: true})
		}}.run(t, "load", "--sessions", "3", "--for", "20s", "--rate", "3")
		assert.Equal(t, exitFailure, got.status)
		assert.Contains(t, got.stderr, "busdemo: 1 chat ended before its time")
		assertOrder(t, got.stdout, "1 chat ended before its time", "it balances")
	})
}

// TestLoadInterrupt: Ctrl-C ends all chats, and shows the figures so far.
func TestLoadInterrupt(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := trial{interruptErr: "   3s  "}.run(t, "load", "--transport", wire, "--for", "24h", "--json")
			assert.Equal(t, exitInterrupted, got.status)
			assert.NotContains(t, got.stderr, "busdemo:")
			assert.Less(t, time.Since(start), 10*time.Second)
			f := figuresOf(t, got)
			assert.True(t, f.Balanced)
			assert.InDelta(t, 30, f.Confirmed, 2)
			got.assertEnded(t)
		})
	}
}

func TestLoadInterruptWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		got := trial{ctx: ctx, prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "start", Skip: 40, Times: -1, Delay: time.Hour})
		}}.run(t, "load", "--sessions", "100")
		assert.Equal(t, exitInterrupted, got.status)
		assert.Empty(t, got.stdout)
		got.assertEnded(t)
	})
}

func TestLoadBadServer(t *testing.T) {
	for _, wire := range []string{"gms", "gms-cometd"} {
		synctest.Test(t, func(t *testing.T) {
			got := trial{prepare: func(s *chatsim.Server) { s.Network().Refuse() }}.run(t, "load", "--transport", wire)
			got.assertLine(t, exitFailure, "no connection", "refused")
			assert.Empty(t, got.stdout)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		got := trial{prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "start", Skip: 3, Times: -1, Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 306, Advice: "\x1bno more"}}}})
		}}.run(t, "load", "--sessions", "5")
		got.assertLine(t, exitFailure, "2 of 5 chats could not be started, the first because:", "306")
		assert.NotContains(t, got.stderr, "\x1b")
		got.assertEnded(t)
	})
}

// TestSimAndLoad puts the load on a simulator in another run of the program.
func TestSimAndLoad(t *testing.T) {
	first, _ := serve(t)
	for _, name := range []string{"busdemo.yaml", "gms-cometd.yaml"} {
		got := trial{}.run(t, "load", "--config", shipped(t, name, first), "--sessions", "5", "--rate", "50", "--for", "1s", "--json")
		assert.Equal(t, exitOK, got.status, got.stderr)
		f := figuresOf(t, got)
		assert.True(t, f.Balanced)
		assert.Equal(t, 50, f.Confirmed)
		assert.Nil(t, got.sim, "the embedded one is not needed")
	}
}

func TestLoadBadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webchat.yaml")
	require.NoError(t, os.WriteFile(file, []byte("webchat:\n  datURL: http://x\n"), 0o600))
	trial{}.run(t, "load", "--config", file).assertLine(t, exitFailure, "webchat.datURL", "did you mean")
	require.NoError(t, os.WriteFile(file, []byte("webchat:\n  cometD:\n    enabled: true\n"), 0o600))
	trial{}.run(t, "load", "--config", file).assertLine(t, exitFailure, "webchat.cometD.cometURL")
}

func TestLoadReaderGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &brokenPipe{}, stderr: &stderr, newSim: simulator.New}
		assert.Equal(t, exitFailure, p.run(t.Context(), []string{"load", "--for", "500ms"}))
		assert.Contains(t, stderr.String(), "write the figures: broken pipe")
	})
}
