package chatsim_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// Each switch, on; that it is off otherwise is what the other tests see.
func TestQuirks(t *testing.T) {
	for _, c := range []struct {
		name   string
		quirks chatsim.Quirks
		test   func(t *testing.T, v *visitor)
	}{
		{"EndedChat400", chatsim.Quirks{EndedChat400: true}, func(t *testing.T, v *visitor) {
			v.do("disconnect")
			r := v.do("refresh")
			assert.Equal(t, http.StatusBadRequest, r.Status)
			assert.True(t, r.ended())
		}},
		{"BadKeyEnds", chatsim.Quirks{BadKeyEnds: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, chatsim.CodeBadKey, v.do("refresh", "secureKey", "x").code())
			assert.True(t, v.do("refresh").ended())
			assert.Equal(t, chatsim.EndedByBadKey, v.chat().Snapshot().Reason)
		}},
		{"RequireAllKeys", chatsim.Quirks{RequireAllKeys: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, http.StatusBadRequest, v.do("refresh").Status)
			assert.Equal(t, http.StatusOK, v.do("refresh", "userId", v.start.UserID, "alias", v.start.Alias).Status)
		}},
		{"ShortKey", chatsim.Quirks{ShortKey: true}, func(t *testing.T, v *visitor) {
			assert.Regexp(t, `^[0-9a-f]{16}$`, v.start.SecureKey)
		}},
		{"SendReturnsAll", chatsim.Quirks{SendReturnsAll: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, []int{1, 2}, v.do("send", "message", "a").indices())
		}},
		{"MinusOneIsAll", chatsim.Quirks{MinusOneIsAll: true}, func(t *testing.T, v *visitor) {
			v.do("send", "message", "a")
			assert.Equal(t, []int{1, 2}, v.do("refresh", "transcriptPosition", "-1").indices())
		}},
		{"BareDownload", chatsim.Quirks{BareDownload: true}, func(t *testing.T, v *visitor) {
			r := v.do("file/" + v.upload("a.txt", "data").UserData["file-id"] + "/download")
			assert.Equal(t, "data", r.Body)
			assert.Empty(t, r.Header.Get("Content-Disposition"))
		}},
		{"TypingNotKept", chatsim.Quirks{TypingNotKept: true}, func(t *testing.T, v *visitor) {
			v.do("startTyping")
			v.do("send", "message", "a")
			assert.Equal(t, []int{2, 3}, v.do("refresh", "transcriptPosition", "2").indices())
			assert.Equal(t, []int{1, 3}, v.do("refresh").indices())
		}},
		{"TypingUnnumbered", chatsim.Quirks{TypingUnnumbered: true}, func(t *testing.T, v *visitor) {
			v.do("startTyping")
			v.do("send", "message", "a")
			r := v.do("refresh", "transcriptPosition", "2")
			assert.Equal(t, []string{"Message Ada: a", "TypingStarted Ada"}, r.lines())
			assert.Equal(t, []int{2, 0}, r.indices())
			assert.Equal(t, []int{2}, v.do("refresh", "transcriptPosition", "2").indices())
		}},
		{"OwnTypingHidden", chatsim.Quirks{OwnTypingHidden: true}, func(t *testing.T, v *visitor) {
			ann, err := v.chat().Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			v.do("startTyping")
			_, err = ann.Type("")
			require.NoError(t, err)
			assert.Equal(t, []string{"TypingStarted Ann"}, v.do("refresh", "transcriptPosition", "3").lines())
			assert.Len(t, v.chat().Snapshot().Events, 4)
		}},
		{"AttributesNotEchoed", chatsim.Quirks{AttributesNotEchoed: true}, func(t *testing.T, v *visitor) {
			r := v.do("send", "message", "a", "eventAttributes", `{"a":1}`, "transcriptPosition", "2")
			assert.Empty(t, r.Messages[0].Attributes)
			assert.NotEmpty(t, v.chat().Snapshot().Events[1].Attributes)
		}},
		{"PartyIDString", chatsim.Quirks{PartyIDString: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, "1", v.start.Messages[0].From.ParticipantID)
		}},
		{"BareErrors", chatsim.Quirks{BareErrors: true}, func(t *testing.T, v *visitor) {
			r := v.do("send")
			assert.NotContains(t, r.Body, "statusCode")
			assert.NotContains(t, r.Body, "chatEnded")
			assert.Equal(t, chatsim.CodeBadRequest, r.code())
		}},
		{"ErrorCodeString", chatsim.Quirks{ErrorCodeString: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, "100", v.do("send").Errors[0].Code)
		}},
		{"Terse", chatsim.Quirks{Terse: true}, func(t *testing.T, v *visitor) {
			assert.NotEmpty(t, v.start.SecureKey)
			body := v.do("send", "message", "a").Body
			for _, field := range []string{"secureKey", "alias", "userId", "messages", "nextPosition"} {
				assert.NotContains(t, body, field)
			}
		}},
		{"OmitChatEnded", chatsim.Quirks{OmitChatEnded: true}, func(t *testing.T, v *visitor) {
			assert.Nil(t, v.do("refresh").ChatEnded)
			assert.True(t, v.do("disconnect").ended())
		}},
		{"NextPositionZero", chatsim.Quirks{NextPositionZero: true}, func(t *testing.T, v *visitor) {
			assert.Equal(t, 2, v.do("refresh").NextPosition)
			assert.Equal(t, 0, v.do("disconnect").NextPosition)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := alone()
			opts.Quirks = c.quirks
			bubble(t, opts, func(t *testing.T, sim *chatsim.Server) { c.test(t, enter(t, sim)) })
		})
	}
}
