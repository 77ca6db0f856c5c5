package webchatservice_test

import (
	"encoding/json"
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

// Numbers longer than a float64 holds keep their digits: in attached data given as JSON, and where masks rewrite it.
func TestUserDataKeepsDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const customer = "12345678901234567890"
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Config = &webchatservice.Config{Masks: []string{`secret`}}
		r := newRig(t, opts)
		defer r.stop()
		_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{
			Nickname: "Ada", UserData: `{"customer":` + customer + `,"note":"secret"}`,
		})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"customer": customer, "note": "secret"}, m.UserData(id))
		kept, ok := webchatservice.DataUserData.Get(r.app)
		assert.True(t, ok)
		assert.Equal(t, map[string]any{"customer": json.Number(customer), "note": "***"}, kept)
		require.NoError(t, end(r))
		_, err = call(r, webchatservice.StartChat, webchatservice.StartChatIn{Nickname: "Ada", UserData: `{"a":1} and more`})
		require.ErrorIs(t, err, webchatservice.ErrUserData)
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
