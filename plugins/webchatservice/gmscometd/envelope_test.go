package gmscometd_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// Operations carry what wire-gms B.2 says, under its names, and nothing else but the keys.
func TestEnvelopes(t *testing.T) {
	bubbleOn(t, longPolling, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		c := s.config()
		c.Endpoint, c.MarkLines = "support", true
		_, w := watch(t, s)
		d, err := gmscometd.New(c, &chat.Options{Client: &http.Client{Transport: w}, Dial: s.dial})
		require.NoError(t, err)
		conn, err := d.Open(t.Context(), chat.Request{
			Nickname: "Ada", FirstName: "A", LastName: "B", Email: "a@example.net", Subject: "Bill", Async: true, UserData: map[string]any{"n": 1},
		})
		require.NoError(t, err)
		listen(t, conn)
		must := func(_ any, err error) { require.NoError(t, err) }
		ctx := t.Context()
		must(conn.Send(ctx, chat.Action{Text: "x", ParentID: "1", ClientID: "m1", MessageType: "note"}))
		must(conn.(chat.Typer).Typing(ctx, true, "he"))
		must(conn.(chat.Typer).Typing(ctx, false, ""))
		must(conn.(chat.DataUpdater).UpdateUserData(ctx, map[string]any{"mood": "well"}))
		must(conn.(chat.URLPusher).PushURL(ctx, "https://example.net/"))
		must(conn.(chat.Notifier).CustomNotice(ctx, "ping", []byte(`{"purpose":"cancel-idle-timer"}`)))
		must(conn.(chat.ReadMarker).MarkRead(ctx, chat.Position{Index: 3}))
		must(conn.(chat.Renamer).UpdateNickname(ctx, "Bea"))
		must(conn.(chat.Refetcher).Refetch(ctx, chat.Position{Index: 2}, chat.Position{Index: 3}))
		cometdsim.Of(s.Server).ForgetClients()
		time.Sleep(time.Minute)
		session := conn.Session()
		events := s.chat(session.ID).Snapshot().Events
		next := float64(events[len(events)-1].Index + 1)
		must(conn.Send(ctx, chat.Action{Kind: chat.ActionEnd}))
		require.NoError(t, conn.Close())

		sent := map[string]map[string]any{}
		for _, m := range w.envelopes(t) {
			if m.Channel != cometdsim.Channel(s.Server) {
				continue
			}
			operation := m.Data["operation"].(string)
			assert.NotContains(t, sent, operation, "once each")
			assert.NotEmpty(t, m.ClientID)
			want := map[string]any{
				"chatId": session.ID, "userId": session.UserID, "alias": session.Alias, "secureKey": session.SecureKey.Reveal(),
			}
			if operation == "requestChat" {
				want = map[string]any{"chatId": "", "userId": "", "alias": "", "secureKey": ""}
			}
			for name, key := range want {
				assert.True(t, key == m.Data[name], "%s: %s", operation, name) // which is not to be shown
				delete(m.Data, name)
			}
			delete(m.Data, "operation")
			sent[operation] = m.Data
		}
		assert.Equal(t, map[string]map[string]any{
			"requestChat": {
				"nickname": "Ada", "firstName": "A", "lastName": "B", "emailAddress": "a@example.net", "subject": "Bill", "text": "",
				"endpoint": "support", "userData": map[string]any{"GCTI_Chat_AsyncMode": "true", "n": "1"},
			},
			"sendMessage": {
				"message": "x", "messageType": "note",
				"eventAttributes": map[string]any{
					"general-properties": map[string]any{"related-event-id": "1"}, "cxbus": map[string]any{"client-id": "m1"},
				},
			},
			"startTyping":          {"message": "he"},
			"stopTyping":           {"message": ""},
			"updateData":           {"userData": map[string]any{"mood": "well"}},
			"pushUrl":              {"pushUrl": "https://example.net/"},
			"customNotice":         {"message": "ping", "eventAttributes": map[string]any{"purpose": "cancel-idle-timer"}},
			"readReceipt":          {"transcriptPosition": 2.0},
			"updateNickname":       {"nickname": "Bea"},
			"refresh":              {"transcriptPosition": 2.0},
			"requestNotifications": {"transcriptPosition": next, "message": ""},
			"disconnect":           {},
		}, sent)
	})
}

// The end of a long-lived chat is taken up as wire-gms C.2 says: first the last line, then what is from a page before
// it on, and nothing of a chat that is over.
func TestResumeTail(t *testing.T) {
	for name, quirks := range map[string]gmssim.Quirks{"Last": {}, "MinusOneIsAll": {MinusOneIsAll: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Quirks: quirks})}}, func(t *testing.T, s *server) {
				conn, err := s.Driver().Open(t.Context(), chat.Request{Nickname: "Ada", Async: true})
				require.NoError(t, err)
				session := conn.Session()
				require.NoError(t, conn.Close())
				s.AgentJoin(session.ID, "Ann")
				for range 30 {
					s.AgentSay(session.ID, "Ann", "x")
				}
				last := int64(32)
				take := func(from int64, lines int) []int64 {
					conn, err := s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{
						Session: session, Known: chat.Position{Index: from}, Tail: lines, UserData: map[string]any{"a": "b"},
					})
					require.NoError(t, err)
					defer conn.Close() //nolint:errcheck // it returns nil
					ev, err := conn.Receive(t.Context())
					require.NoError(t, err)
					var indices []int64
					for _, m := range ev.Messages {
						indices = append(indices, m.Index)
					}
					s.AgentSay(session.ID, "Ann", "live")
					ev, err = conn.Receive(t.Context())
					require.NoError(t, err)
					last++
					assert.Equal(t, last, ev.Messages[0].Index, "and what comes from now on")
					return indices
				}
				assert.Equal(t, []int64{29, 30, 31, 32}, take(0, 3))
				assert.Equal(t, []int64{28, 29, 30, 31, 32, 33}, take(28, 3), "what was not seen comes in any case")
				assert.Equal(t, []int64{31, 32, 33, 34}, take(33, 3))
				assert.Len(t, take(0, 100), 35)
				assert.Equal(t, map[string]string{"a": "b", "GCTI_Chat_AsyncMode": "true"}, s.UserData(session.ID))

				s.EndChat(session.ID)
				_, err = s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session, Tail: 3})
				require.ErrorIs(t, err, chat.ErrEnded)
				session.ID, session.SecureKey = "nothing", chat.NewSecret("CANARY-key-0123456789")
				_, err = s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Session: session, Tail: 3})
				require.ErrorIs(t, err, chat.ErrEnded)
				_, err = s.Driver().(chat.Resumer).Resume(t.Context(), chat.ResumeRequest{Tail: 3})
				assert.Equal(t, chat.NotSent, chat.OutcomeOf(err))
			})
		})
	}
}
