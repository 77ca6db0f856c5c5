package webchatservice_test

import (
	"context"
	"net/http"
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
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// gaps returns the gaps that were told.
func gaps(events []bus.Event[any]) (all []webchatservice.TranscriptGapData) {
	for _, e := range events {
		if d, ok := e.Data.(webchatservice.TranscriptGapData); ok {
			all = append(all, d)
		}
	}
	return all
}

// onAgent makes a check of one on a simulated GMS whose chat has an agent, and nothing unread.
func onAgent(t *testing.T, f func(r *rig, sim *chatsim.Server, c *chatsim.Chat, ann *chatsim.Seat)) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
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
		f(r, sim, c, ann)
	})
}

func say(t *testing.T, seat *chatsim.Seat, lines ...string) (events []chatsim.Event) {
	t.Helper()
	for _, text := range lines {
		e, err := seat.Say(text)
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// While the server cannot be asked for what is missing, what came after it waits.
func TestLinesBehindAGapWaitForIt(t *testing.T) {
	for name, broken := range map[string]chatsim.Fault{
		"network":     {Op: "refresh", Drop: chatsim.DropBefore, Times: 6},
		"busy":        {Op: "refresh", Status: http.StatusServiceUnavailable, Times: 6},
		"try again":   {Op: "refresh", Times: 6, Details: gmssim.Fault{StatusCode: 1}},
		"half answer": {Op: "refresh", Cut: 20, Times: 6},
	} {
		t.Run(name, func(t *testing.T) {
			onAgent(t, func(r *rig, sim *chatsim.Server, _ *chatsim.Chat, ann *chatsim.Seat) {
				sim.Faults().Add(chatsim.Fault{Op: "refresh", Omit: 2, Match: func(q chatsim.Request) bool {
					return len(say(t, ann, "one", "two", "three")) == 3
				}})
				sim.Faults().Add(broken)
				seen := map[string]int{}
				_, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{
					PreProcessor: func(m webchatservice.Message) *webchatservice.Message { seen[m.Text]++; return nil },
				})
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
				assert.Empty(t, texts(r.take()))
				time.Sleep(time.Minute)
				events := r.take()
				assert.Equal(t, []string{"one", "two", "three"}, texts(events))
				assert.Empty(t, gaps(events))
				assert.Equal(t, map[string]int{"one": 1, "two": 1, "three": 1}, seen)
			})
		})
	}
}

// An answer that lacks lines is not believed at once.
func TestAnswerWithAHoleOfItsOwn(t *testing.T) {
	onAgent(t, func(r *rig, sim *chatsim.Server, _ *chatsim.Chat, ann *chatsim.Seat) {
		sim.Faults().Add(chatsim.Fault{Op: "refresh", Omit: 1, Times: 2, Match: func(chatsim.Request) bool { return true }})
		say(t, ann, "one", "two")
		time.Sleep(10 * time.Second)
		events := r.take()
		assert.Equal(t, []string{"one", "two"}, texts(events))
		assert.Empty(t, gaps(events))
	})
}

// Each range that the server has lost is told, and before what comes behind it.
func TestEachGapIsTold(t *testing.T) {
	onAgent(t, func(r *rig, _ *chatsim.Server, c *chatsim.Chat, ann *chatsim.Seat) {
		lines := say(t, ann, "one", "two", "three", "four", "five", "six")
		for _, i := range []int{0, 1, 4} {
			require.True(t, c.Forget(lines[i].Index))
		}
		time.Sleep(10 * time.Second)
		events := r.take()
		first := int64(lines[0].Index)
		assert.Equal(t, []webchatservice.TranscriptGapData{
			{From: first, To: first + 1, Reason: webchatservice.GapServer},
			{From: first + 4, To: first + 4, Reason: webchatservice.GapServer},
		}, gaps(events))
		assert.Equal(t, []string{"three", "four", "six"}, texts(events))
		var order []string
		for _, e := range events {
			switch e.Data.(type) {
			case webchatservice.TranscriptGapData, webchatservice.MessageReceivedData:
				order = append(order, e.Name())
			}
		}
		assert.Equal(t, []string{"WebChatService.transcriptGap", "WebChatService.transcriptGap", "WebChatService.messageReceived"}, order)
	})
}

// The first line is missed, too.
func TestGapAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		sim.Faults().Add(chatsim.Fault{Op: "start", Omit: 1})
		r := newRig(t, onSim(sim))
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"started", "pollingStarted", "clientConnected", "messageReceived"}, r.told())
	})
}

// Shuffled and doubled lines reach nobody, nor do those that were seen before.
func TestDisorderReachesNobody(t *testing.T) {
	for name, fault := range map[string]chatsim.Fault{
		"shuffled": {Op: "refresh", Shuffle: true},
		"doubled":  {Op: "refresh", Double: true},
		"overlap":  {Op: "refresh", Overlap: 20},
		"repeated": {Op: "refresh", Repeat: true},
	} {
		t.Run(name, func(t *testing.T) {
			onAgent(t, func(r *rig, sim *chatsim.Server, _ *chatsim.Chat, ann *chatsim.Seat) {
				want := []string{"one", "two", "three"}
				say(t, ann, want...)
				sim.Faults().Add(fault)
				time.Sleep(10 * time.Second)
				events := r.take()
				assert.Equal(t, want, texts(events))
				assert.Empty(t, gaps(events))
				assert.Equal(t, want, r.lines(chat.RoleAgent))
			})
		})
	}
}

// A line that was given up and comes all the same is not lost, and does not come as a new one.
func TestLateLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onLines(func(t *testing.T, r *rig, say func(...chat.Message)) {
			line := func(index int64, text string) chat.Message {
				return chat.Message{Index: index, Position: chat.Position{Index: index + 1}, Kind: chat.KindMessage, Text: text, From: chat.Party{ID: "2", Role: chat.RoleAgent, Name: "Bob"}}
			}
			behind := func(m chat.Message, index int64) chat.Message {
				m.Behind = &chat.Position{Index: index + 1}
				return m
			}
			four := line(4, "four")
			four.Missing = &chat.Gap{First: 2, Last: 3}
			say(line(1, "one"), four)
			time.Sleep(time.Second)
			assert.Equal(t, []webchatservice.TranscriptGapData{{From: 2, To: 3, Reason: webchatservice.GapServer}}, gaps(r.take()))
			say(behind(line(2, "two"), 1), behind(line(3, "three"), 2), line(5, "five"))
			time.Sleep(time.Second)
			var got [][]string
			var old []bool
			for _, e := range r.take() {
				if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
					old = append(old, d.OldMessages)
					got = append(got, texts([]bus.Event[any]{e}))
				}
			}
			assert.Equal(t, [][]string{{"three", "two"}, {"five"}}, got)
			assert.Equal(t, []bool{true, false}, old)
			assert.Equal(t, []string{"one", "two", "three", "four", "five"}, r.lines(chat.RoleAgent))
		})(t)
	})
}

// A subscriber who is so slow that its mailbox overflows is told which lines it missed.
func TestOverflowIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		b := bus.New(&bus.Options{MailboxSoft: 4, MailboxHard: 6, SlowAfter: -1})
		app, err := b.Register("App")
		require.NoError(t, err)
		app.Ready()
		hold := make(chan struct{})
		var got []int64
		var missed []webchatservice.TranscriptGapData
		_, err = bus.Subscribe(app, webchatservice.MessageReceived, func(_ context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
			<-hold
			for _, line := range e.Data.Messages {
				got = append(got, line.Index)
			}
		})
		require.NoError(t, err)
		_, err = bus.Subscribe(app, webchatservice.TranscriptGap, func(_ context.Context, e bus.Event[webchatservice.TranscriptGapData]) {
			missed = append(missed, e.Data)
		})
		require.NoError(t, err)
		require.NoError(t, b.Start(t.Context(), webchatservice.New(onMemory(m))))
		defer func() { require.NoError(t, b.Close(context.Background())) }()
		_, err = app.Call(t.Context(), "WebChatService.startChat", webchatservice.StartChatIn{Nickname: "Ada"})
		require.NoError(t, err)
		for range 20 {
			m.AgentSay(id, "Bob", "hurry")
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		m.AgentSay(id, "Bob", "calm")
		synctest.Wait()

		require.Len(t, missed, 1)
		assert.Equal(t, webchatservice.GapOverflow, missed[0].Reason)
		seen := map[int64]int{}
		for _, index := range got {
			seen[index]++
		}
		for index := int64(1); index <= 22; index++ {
			lost := index >= missed[0].From && index <= missed[0].To
			want := 1
			if lost {
				want = 0
			}
			assert.Equal(t, want, seen[index], "line %d: got %v, missed %v", index, got, missed)
		}
	})
}

func TestGapIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
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
