package chat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

const text = "9f31c07a55e2d8b4"

// holder has secrets in all places in which one may be printed without its methods being called.
type holder struct {
	Open    chat.Secret
	hidden  chat.Secret
	session chat.Session
	ptr     *chat.Secret
	list    []chat.Secret
	named   map[string]chat.Secret
	any     any
}

func newHolder() holder {
	s := chat.NewSecret(text)
	return holder{
		Open: s, hidden: s, session: chat.Session{ID: "id", SecureKey: s, Address: s}, ptr: &s,
		list: []chat.Secret{s}, named: map[string]chat.Secret{"k": s}, any: s,
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	h := newHolder()
	for _, v := range []any{h, &h, h.Open, h.ptr, h.list, h.named, h.session, errors.Join(fmt.Errorf("x %v", h))} {
		var b bytes.Buffer
		for _, verb := range strings.Split("v +v #v s q x X d T p b o e g c U t w", " ") {
			fmt.Fprintf(&b, "%"+verb+"\n", v)
		}
		fmt.Fprintln(&b, v)
		if data, err := json.Marshal(v); err == nil {
			b.Write(data)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			slog.New(handler).Info("m", "v", v)
			slog.New(handler).With("v", v).Info("m")
		}
		// What a dump of memory by reflection sees, as failing tests print it.
		dump(&b, reflect.ValueOf(v), 0)
		for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprint([]byte(text))} {
			assert.NotContains(t, b.String(), form, "%T", v)
		}
	}
	assert.Equal(t, "[secret]", h.Open.String())
	assert.Equal(t, "[secret]", fmt.Sprintf("%#v", h.Open))
}

// dump prints every string that can be reached, exported or not.
func dump(b *bytes.Buffer, v reflect.Value, depth int) {
	if depth > 10 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		b.WriteString(v.String() + "\n")
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dump(b, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			dump(b, v.Field(i), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			dump(b, v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			dump(b, v.MapIndex(k), depth+1)
		}
	}
}

func TestSecretGivesItsTextToWhoAsks(t *testing.T) {
	for _, s := range []string{"", "x", text, strings.Repeat("long ", 100), "żółć\x00\xff"} {
		assert.Equal(t, s, chat.NewSecret(s).Reveal())
		a, b := chat.NewSecret(s), chat.NewSecret(s)
		assert.Equal(t, a, b)
		assert.True(t, a == b, "equal secrets are equal values")
		assert.Equal(t, s == "", a.IsZero())
	}
	assert.NotEqual(t, chat.NewSecret("a"), chat.NewSecret("b"))
	assert.Empty(t, chat.Secret{}.String(), "one sees that there is none")
}

func TestSecretIsReadFromText(t *testing.T) {
	var c struct{ Key chat.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"key":"`+text+`"}`), &c))
	assert.Equal(t, text, c.Key.Reveal())
	printed, err := json.Marshal(c)
	require.NoError(t, err)
	assert.Equal(t, `{"Key":"[secret]"}`, string(printed))
	require.Error(t, json.Unmarshal(printed, &c), "what was printed is not the secret")
	assert.Equal(t, text, c.Key.Reveal(), "a refused text changes nothing")
}
