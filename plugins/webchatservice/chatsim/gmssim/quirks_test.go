package gmssim_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// Each switch, on; that it is off otherwise is what the other tests see.
func TestQuirks(t *testing.T) {
	for _, c := range []struct {
		name   string
		quirks gmssim.Quirks
		test   func(t *testing.T, v *visitor)
	}{
		{"EndedChat400", gmssim.Quirks{EndedChat400: true}, func(t *testing.T, v *visitor) {
			v.Do("disconnect")
			r := v.Do("refresh")
			assert.Equal(t, http.StatusBadRequest, r.Status)
			assert.True(t, r.Ended())
		}},
		{"BadKeyEnds", gmssim.Quirks{BadKeyEnds: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, gmssim.CodeBadKey, v.Do("refresh", "secureKey", "x").Code())
			assert.True(t, v.Do("refresh").Ended())
			assert.Equal(t, chatsim.EndedByBadKey, v.Chat().Snapshot().Reason)
		}},
		{"RequireAllKeys", gmssim.Quirks{RequireAllKeys: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, http.StatusBadRequest, v.Do("refresh").Status)
			assert.Equal(t, http.StatusOK, v.Do("refresh", "userId", v.Start.UserID, "alias", v.Start.Alias).Status)
		}},
		{"ShortKey", gmssim.Quirks{ShortKey: true}, func(t *testing.T, v *visitor) {
			assert.Regexp(t, `^[0-9a-f]{16}$`, v.Start.SecureKey)
		}},
		{"SendReturnsAll", gmssim.Quirks{SendReturnsAll: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, []int{1, 2}, v.Do("send", "message", "a").Indices())
		}},
		{"MinusOneIsAll", gmssim.Quirks{MinusOneIsAll: true}, func(t *testing.T, v *visitor) {
			v.Do("send", "message", "a")
			assert.Equal(t, []int{1, 2}, v.Do("refresh", "transcriptPosition", "-1").Indices())
		}},
		{"BareDownload", gmssim.Quirks{BareDownload: true}, func(t *testing.T, v *visitor) {
			r := v.Do("file/" + v.Upload("a.txt", "data").UserData["file-id"] + "/download")
			assert.Equal(t, "data", r.Body)
			assert.Empty(t, r.Header.Get("Content-Disposition"))
		}},
		{"TypingNotKept", gmssim.Quirks{TypingNotKept: true}, func(t *testing.T, v *visitor) {
			v.Do("startTyping")
			v.Do("send", "message", "a")
			assert.Equal(t, []int{2, 3}, v.Do("refresh", "transcriptPosition", "2").Indices())
			assert.Equal(t, []int{1, 3}, v.Do("refresh").Indices())
		}},
		{"TypingUnnumbered", gmssim.Quirks{TypingUnnumbered: true}, func(t *testing.T, v *visitor) {
			v.Do("startTyping")
			v.Do("send", "message", "a")
			r := v.Do("refresh", "transcriptPosition", "2")
			assert.Equal(t, []string{"Message Ada: a", "TypingStarted Ada"}, r.Lines())
			assert.Equal(t, []int{2, 0}, r.Indices())
			assert.Equal(t, []int{2}, v.Do("refresh", "transcriptPosition", "2").Indices())
		}},
		{"OwnTypingHidden", gmssim.Quirks{OwnTypingHidden: true}, func(t *testing.T, v *visitor) {
			ann, err := v.Chat().Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			v.Do("startTyping")
			_, err = ann.Type("")
			require.NoError(t, err)
			assert.Equal(t, []string{"TypingStarted Ann"}, v.Do("refresh", "transcriptPosition", "3").Lines())
			assert.Len(t, v.Chat().Snapshot().Events, 4)
		}},
		{"AttributesNotEchoed", gmssim.Quirks{AttributesNotEchoed: true}, func(t *testing.T, v *visitor) {
			r := v.Do("send", "message", "a", "eventAttributes", `{"a":1}`, "transcriptPosition", "2")
			assert.Empty(t, r.Messages[0].Attributes)
			assert.NotEmpty(t, v.Chat().Snapshot().Events[1].Attributes)
		}},
		{"PartyIDString", gmssim.Quirks{PartyIDString: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, "1", v.Start.Messages[0].From.ParticipantID)
		}},
		{"BareErrors", gmssim.Quirks{BareErrors: true}, func(t *testing.T, v *visitor) {
			r := v.Do("send")
			assert.NotContains(t, r.Body, "statusCode")
			assert.NotContains(t, r.Body, "chatEnded")
			assert.Equal(t, gmssim.CodeBadRequest, r.Code())
		}},
		{"ErrorCodeString", gmssim.Quirks{ErrorCodeString: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, "100", v.Do("send").Errors[0].Code)
		}},
		{"Terse", gmssim.Quirks{Terse: true}, func(t *testing.T, v *visitor) {
			assert.NotEmpty(t, v.Start.SecureKey)
			body := v.Do("send", "message", "a").Body
			for _, field := range []string{"secureKey", "alias", "userId", "messages", "nextPosition"} {
				assert.NotContains(t, body, field)
			}
		}},
		{"OmitChatEnded", gmssim.Quirks{OmitChatEnded: true}, func(t *testing.T, v *visitor) {
			assert.Nil(t, v.Do("refresh").ChatEnded)
			assert.True(t, v.Do("disconnect").Ended())
		}},
		{"NextPositionZero", gmssim.Quirks{NextPositionZero: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, 2, v.Do("refresh").NextPosition)
			assert.Equal(t, 0, v.Do("disconnect").NextPosition)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := alone(gmssim.New(&gmssim.Options{Quirks: c.quirks}))
			bubble(t, opts, func(t *testing.T, sim *chatsim.Server) { c.test(t, enter(t, sim)) })
		})
	}
}
