package chatsim_test

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// Go code takes chats in the order in which they came, and plays an agent.
func TestDesk(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		taken := make(chan *chatsim.Chat)
		go func() {
			c, err := sim.Desk().Next(t.Context())
			assert.NoError(t, err)
			taken <- c
		}()
		synctest.Wait()
		v := enter(t, sim)
		second := enter(t, sim)
		c := <-taken
		assert.Equal(t, v.Start.ChatID, c.ID())
		next, err := sim.Desk().Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, second.Start.ChatID, next.ID())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = sim.Desk().Next(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = ann.Type("He")
		require.NoError(t, err)
		_, err = ann.StopTyping()
		require.NoError(t, err)
		e, err := ann.Say("Hello")
		require.NoError(t, err)
		assert.Equal(t, 5, e.Index)
		_, err = ann.PushURL("https://example.net/")
		require.NoError(t, err)
		_, err = ann.Notice("note", map[string]string{"k": "v"})
		require.NoError(t, err)
		_, err = ann.Rename("Anna")
		require.NoError(t, err)
		_, err = ann.Emit(chatsim.Event{Type: "Unheard", Text: "of"})
		require.NoError(t, err)
		_, err = ann.Emit(chatsim.Event{Type: "Unheard", Attributes: json.RawMessage("{")})
		require.Error(t, err)
		assert.Equal(t, []string{
			"ParticipantJoined Anna", "TypingStarted Anna: He", "TypingStopped Anna", "Message Anna: Hello",
			"PushUrl Anna: https://example.net/", "CustomNotice Anna: note", "NicknameUpdated Anna", "Unheard Anna: of",
		}, v.Do("refresh", "transcriptPosition", "2").Lines())

		sent := make(chan error, 1)
		go func() {
			_, err := v.Try("send", "message", "thanks")
			sent <- err
		}()
		e, err = c.WaitLine(t.Context(), "thanks")
		require.NoError(t, err)
		assert.Equal(t, 10, e.Index)
		require.NoError(t, <-sent)

		require.NoError(t, ann.Leave())
		assert.ErrorIs(t, ann.Leave(), chatsim.ErrLeft)
		_, err = ann.Say("x")
		assert.ErrorIs(t, err, chatsim.ErrLeft)
		assert.False(t, c.Snapshot().Ended, "the chat goes on")
		bob, err := c.Join("Bob", chatsim.RoleAgent)
		require.NoError(t, err)
		require.NoError(t, bob.End())
		_, err = c.Join("Cid", chatsim.RoleAgent)
		assert.ErrorIs(t, err, chatsim.ErrEnded)
		assert.ErrorIs(t, bob.End(), chatsim.ErrEnded)
		assert.ErrorIs(t, c.Alert(time.Second), chatsim.ErrEnded)
		<-c.Done()
		_, err = c.WaitLine(t.Context(), "never")
		assert.Equal(t, io.EOF, err)
		r := v.Do("refresh", "transcriptPosition", "11")
		assert.Equal(t, []string{"ParticipantLeft Anna", "ParticipantJoined Bob", "ParticipantLeft Bob", "ParticipantLeft Ada"}, r.Lines())
		assert.True(t, r.Ended())
	})
}

// wire-gms A.4: who is who on the wire.
func TestRoles(t *testing.T) {
	for name, quirks := range map[string]gmssim.Quirks{"no hole": {}, "hole": {HiddenTakeIndex: true}} {
		t.Run(name, func(t *testing.T) {
			opts := alone(gmssim.New(&gmssim.Options{Quirks: quirks}))
			bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
				v := enter(t, sim)
				join := func(nickname string, as chatsim.Role) *chatsim.Seat {
					s, err := v.Chat().Join(nickname, as)
					require.NoError(t, err)
					_, err = s.Say("I am " + nickname)
					require.NoError(t, err)
					return s
				}
				join("router", chatsim.RoleSystem)
				join("robo", chatsim.RoleBot)
				boss := join("boss", chatsim.RoleSupervisor)
				join("ghost", chatsim.RoleMonitor)
				_, err := boss.Whisper("psst")
				require.NoError(t, err)
				require.NoError(t, boss.Leave())
				r := v.Do("refresh", "transcriptPosition", "2")
				assert.Equal(t, []string{
					"Message router: I am router", "ParticipantJoined robo", "Message robo: I am robo",
					"ParticipantJoined boss", "Message boss: I am boss", "ParticipantLeft boss",
				}, r.Lines())
				assert.Equal(t, "External", r.Messages[0].From.Type)
				assert.Equal(t, "External", r.Messages[2].From.Type)
				assert.JSONEq(t, `{"GCTI_SYSTEM":{"party-info":{"style":"BOT"}}}`, string(r.Messages[2].Attributes))
				assert.Equal(t, "Supervisor", r.Messages[4].From.Type)
				if quirks.HiddenTakeIndex {
					assert.Equal(t, []int{2, 3, 4, 5, 6, 10}, r.Indices())
				} else {
					assert.Equal(t, []int{2, 3, 4, 5, 6, 7}, r.Indices())
				}
				s := v.Chat().Snapshot()
				assert.Len(t, s.Parties, 5)
				assert.Len(t, s.Events, 10)
			})
		})
	}
}

func TestRichMessage(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		ann, err := v.Chat().Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = ann.SayRich("plain", json.RawMessage(`{"text":"rich"}`))
		require.NoError(t, err)
		_, err = ann.SayRich("plain", json.RawMessage(`{`))
		require.Error(t, err)
		r := v.Do("refresh", "transcriptPosition", "3")
		assert.JSONEq(t, `{"structured-content":{"genesys-chat":{"content":"{\"text\":\"rich\"}"}}}`, string(r.Messages[0].Attributes))
	})
}

// A hole that nothing fills.
func TestForget(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		v.Do("send", "message", "a")
		v.Do("send", "message", "b")
		assert.True(t, v.Chat().Forget(2))
		assert.False(t, v.Chat().Forget(2))
		r := v.Do("refresh")
		assert.Equal(t, []int{1, 3}, r.Indices())
		assert.Equal(t, 4, r.NextPosition)
		assert.Equal(t, []string{"a", "b"}, said(v), "what was accepted stays known to the test")
	})
}

// Alert by hand, with any time.
func TestAlert(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		require.NoError(t, v.Chat().Alert(10*time.Second))
		assert.Equal(t, 10, v.Do("refresh").IdleTimerExpire)
		v.Do("send", "message", "no")
		time.Sleep(20 * time.Second)
		assert.False(t, v.Chat().Snapshot().Ended)
		require.NoError(t, v.Chat().Alert(10*time.Second))
		time.Sleep(11 * time.Second)
		assert.Equal(t, chatsim.EndedByIdle, v.Chat().Snapshot().Reason)
	})
}

// Ended chats are forgotten, living ones never.
func TestKeep(t *testing.T) {
	opts := alone()
	opts.Keep = 2
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		alive := enter(t, sim)
		for range 5 {
			enter(t, sim).Do("disconnect")
		}
		assert.Len(t, sim.Chats(), 3)
		alive.Do("send", "message", "here")
	})
}

// The script's own names and pace.
func TestScriptOptions(t *testing.T) {
	opts := &chatsim.Options{Script: chatsim.Scripted(&chatsim.ScriptOptions{Agents: []string{"Zoe"}, JoinDelay: -1, ReplyDelay: time.Second})}
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		synctest.Wait()
		v.Do("send", "message", "hi")
		time.Sleep(999 * time.Millisecond)
		assert.Len(t, v.Do("refresh", "transcriptPosition", "4").Messages, 2)
		time.Sleep(2 * time.Millisecond)
		assert.Equal(t, "Message Zoe: You said: hi", v.Do("refresh", "transcriptPosition", "-1").Lines()[0])
	})
}
