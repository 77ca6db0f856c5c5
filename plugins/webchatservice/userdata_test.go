package webchatservice_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestUserData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Config = &webchatservice.Config{UserData: map[string]any{"site": "shop", "level": "1"}}
		r := newRig(t, opts)
		defer r.stop()

		out, err := call(r, webchatservice.UpdateUserData, map[string]any{"level": "2"})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"site": "shop", "level": "2"}, out.UserData)
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{
			Nickname: "Ada", UserData: `{"cart":"3"}`, Form: map[string]any{"email": "ada@example.net", "room": "7"},
		})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"site": "shop", "level": "2", "cart": "3", "room": "7"}, m.UserData(id))
		_, err = call(r, webchatservice.UpdateUserData, map[string]any{"cart": "4"})
		require.NoError(t, err)
		assert.Equal(t, "4", m.UserData(id)["cart"])
	})
}

func TestCustomNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		_, err := call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: "{}"})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
		r.begin()
		_, err = call(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: `{"page":"cart"}`})
		require.NoError(t, err)
		assert.Equal(t, []string{`{"page":"cart"}`}, m.Notices(id))
		_, err = call(r, webchatservice.FetchHistory, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNotAsync)
		_, err = call(r, webchatservice.UpdateInteractionData, map[string]any{"a": 1})
		assert.ErrorIs(t, err, webchatservice.ErrNoInteractionData)
		_, err = call(r, webchatservice.ResetPollExceptions, struct{}{})
		assert.NoError(t, err)
	})
}
