package webchatservice_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
)

// A connection that is reset at any byte, of an answer or of a request, costs nothing.
func TestResetAnywhere(t *testing.T) {
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var in, out int64 // of the whole conversation
			onWire(t, w, func(t *testing.T, f *field) {
				_, a := f.begin(t)
				inBefore, outBefore := f.cable.carried()
				a.converse(t, 3)
				in, out = f.cable.carried()
				in, out = in-inBefore, out-outBefore
			})
			rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // it must be the same every time
			for range size(50, 500) {
				for _, cut := range []struct {
					direction string
					at        int64
					set       func(*cable, int64)
				}{{"in", rng.Int64N(in), (*cable).cutIn}, {"out", rng.Int64N(out), (*cable).cutOut}} {
					onWire(t, w, func(t *testing.T, f *field) {
						r, a := f.begin(t)
						cut.set(f.cable, cut.at)
						a.converse(t, 3)
						time.Sleep(3 * time.Minute)
						a.balance(t)
						assert.Zero(t, a.gaps)
						require.NoError(t, end(r))
						if t.Failed() {
							t.Logf("reset at byte %d %s", cut.at, cut.direction)
						}
					})
				}
			}
		})
	}
}

// A start that is reset at any byte succeeds, or fails and can be made again.
func TestResetWhileStarting(t *testing.T) {
	for _, w := range wireTable {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var in, out int64
			onWire(t, w, func(t *testing.T, f *field) {
				f.begin(t)
				in, out = f.cable.carried()
			})
			rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must be the same every time
			for range size(20, 400) {
				onWire(t, w, func(t *testing.T, f *field) {
					r := newRig(t, f.opts)
					defer r.stop()
					if rng.IntN(2) == 0 {
						f.cable.cutIn(rng.Int64N(in))
					} else {
						f.cable.cutOut(rng.Int64N(out))
					}
					begun := time.Now()
					if _, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"}); err != nil {
						require.True(t, errors.Is(err, webchatservice.ErrStartFailed) || errors.Is(err, webchatservice.ErrStartUnknown), err)
						r.begin()
					} else {
						r.take()
					}
					assert.Less(t, time.Since(begun), time.Minute)
					a := f.account(t, r)
					a.converse(t, 1)
					time.Sleep(time.Minute)
					assert.Equal(t, []string{"visitor 0"}, a.chat.Snapshot().Lines(chatsim.Client))
					assert.Equal(t, []string{"agent 0"}, r.lines(chat.RoleAgent))
				})
			}
		})
	}
}

// A network that gives each byte by itself changes nothing, and neither does a server that sends a control frame
// between the fragments of a message.
func TestByteByByte(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		f.cable.slice()
		f.sim.Faults().Add(chatsim.Fault{Times: -1, Fragment: 3, Details: cometdsim.Fault{Ping: true}})
		r, a := f.begin(t)
		a.hear(t, "a line with ä, \U0001f600 and \u2028 in it")
		a.converse(t, 5)
		time.Sleep(time.Minute)
		a.balance(t)
		assert.Zero(t, a.outages)
		assert.Zero(t, a.gaps)
		require.NoError(t, end(r))
	})
}

// A link that has become silent, although nobody closed it, is found to be dead in time; with the link back nothing is
// missing.
func TestHalfOpenLink(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		r, a := f.begin(t)
		a.converse(t, 1)
		r.take()
		f.sim.Network().Stall()
		a.hear(t, "are you there?")
		begun := time.Now()
		for count(r.told(), "disconnected") == 0 {
			require.LessOrEqual(t, time.Since(begun), f.silence)
			time.Sleep(100 * time.Millisecond)
		}
		f.sim.Network().Heal()
		a.sent = nil // they are settled
		a.say("yes")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"visitor 0", "yes"}, a.chat.Snapshot().Lines(chatsim.Client))
		assert.Equal(t, []string{"agent 0", "are you there?"}, r.lines(chat.RoleAgent))
		assert.Equal(t, 1, count(r.told(), "reconnected"))
	})
}

// A server that sends a byte each second, be it of the header of an answer or of the body, holds up no call beyond its
// limit. When it is well again the chat goes on with all its lines.
func TestTrickle(t *testing.T) {
	const limit = 3 * time.Second
	for name, slow := range map[string]func(*field) (well func()){
		"header": func(f *field) func() {
			f.cable.trickle(time.Second)
			return func() { f.cable.trickle(0) }
		},
		"body": func(f *field) func() {
			return f.sim.Faults().Add(chatsim.Fault{Times: -1, Slow: time.Hour}).Remove
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachWire(t, func(t *testing.T, f *field) {
				setWire(f.opts, "ajaxTimeout", limit.Milliseconds())
				timed := func(name string, limit time.Duration, call func() error) {
					t.Helper()
					begun := time.Now()
					assert.Error(t, call(), name)
					assert.LessOrEqual(t, time.Since(begun), limit+limit/10, name)
				}
				well := slow(f)
				d := f.driver(t, f.sim, &chat.Options{Dial: f.cable.DialContext}, limit)
				defer idle(d)
				timed("Open", time.Duration(f.openRequests)*limit, func() error {
					_, err := d.Open(t.Context(), chat.Request{Nickname: "Ada"})
					return err
				})
				well()

				r, a := f.begin(t)
				a.converse(t, 1)
				well = slow(f)
				timed("updateUserData", time.Duration(f.callRequests)*limit, func() error {
					_, err := call(r, webchatservice.UpdateUserData, map[string]any{"a": "b"})
					return err
				})
				timed("sendCustomNotice", time.Duration(f.callRequests)*limit, func() error {
					_, err := call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: "ping"})
					return err
				})
				timed("getFileLimits", time.Duration(f.callRequests)*limit, func() error {
					_, err := call(r, webchatservice.GetFileLimits, struct{}{})
					return err
				})
				a.hear(t, "still there?")
				a.say("yes")
				well()
				time.Sleep(3 * time.Minute)
				a.balance(t)
				assert.Zero(t, a.gaps)
				require.NoError(t, end(r))
			})
		})
	}
}

// idle closes the idle connections of a driver.
func idle(d chat.Driver) {
	if d, ok := d.(chat.IdleCloser); ok {
		d.CloseIdleConnections()
	}
}
