package gmsrest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// Answers repeat, shuffle and hold back lines; each comes out once, and a batch is in order.
func TestOverlapsAndDisorder(t *testing.T) {
	for name, f := range map[string]chatsim.Fault{
		"Overlap": {Overlap: 3}, "Double": {Double: true}, "Shuffle": {Shuffle: true}, "Both": {Double: true, Shuffle: true, Overlap: 9},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				f.Times = -1
				s.Faults().Add(f)
				conn := s.open(t.Context())
				id := conn.Session().ID
				s.AgentJoin(id, "Ann")
				var want []int64
				for i := range int64(14) {
					want = append(want, i+1)
				}
				var got []int64
				for i := range 6 {
					s.AgentSay(id, "Ann", "a")
					_, err := conn.Send(t.Context(), chat.Action{Text: "b"})
					require.NoError(t, err)
					if i%2 == 0 {
						for _, ev := range listen(t, conn, 2*time.Second) {
							for _, m := range ev.Messages {
								got = append(got, m.Index)
							}
						}
					}
				}
				for _, ev := range listen(t, conn, 2*time.Second) {
					for _, m := range ev.Messages {
						got = append(got, m.Index)
					}
				}
				assert.Equal(t, want, got)
			})
		})
	}
}

// Lines without an index are never taken for doubles.
func TestLinesWithoutIndex(t *testing.T) {
	bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{TypingUnnumbered: true}})}}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		id := conn.Session().ID
		s.AgentJoin(id, "Ann")
		count := 0
		for range 3 {
			s.AgentTyping(id, "Ann", true)
			s.AgentTyping(id, "Ann", false)
			for _, ev := range listen(t, conn, 2*time.Second) {
				for _, m := range ev.Messages {
					if m.Kind == chat.KindTypingStarted || m.Kind == chat.KindTypingStopped {
						count++
						assert.Zero(t, m.Index)
					}
				}
			}
		}
		assert.Equal(t, 6, count)
	})
}
