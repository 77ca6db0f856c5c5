package wires_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// selected returns the names of the factories that a configuration selects.
func selected(s chat.Selection) []string {
	var names []string
	for _, f := range wires.All() {
		if f.Selects(s) {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestAtMostOneMatches(t *testing.T) {
	for _, c := range []struct {
		name      string
		selection chat.Selection
		want      []string
	}{
		{"nothing set, so that New can say what is missing", chat.Selection{}, []string{"gms"}},
		{"CometD", chat.Selection{CometD: true}, []string{"gms-cometd"}},
		{"another transport", chat.Selection{Transport: "purecloud-v2-sockets"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, selected(c.selection)) })
	}
	seen := map[chat.Selection]string{}
	for _, f := range wires.All() {
		require.NotEmpty(t, f.Selections(), f.Name)
		for _, s := range f.Selections() {
			assert.Empty(t, seen[s], "%v selects %s, too", s, f.Name)
			seen[s] = f.Name
		}
	}
}

func TestFactoriesAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range wires.All() {
		require.NotEmpty(t, f.Name)
		require.False(t, seen[f.Name], "two factories named %q", f.Name)
		seen[f.Name] = true
		d, err := f.New(f.Config(), nil)
		assert.Nil(t, d)
		var e *chat.Error
		require.ErrorAs(t, err, &e, "an empty configuration is no configuration")
		assert.Equal(t, chat.CodeInvalid, e.Code)
		for _, o := range chat.OptionsOf(reflect.TypeOf(f.Config()).Elem()) {
			assert.NotEmpty(t, o.Field.Tag.Get("doc"), "%s: %s", f.Name, o.Path)
		}
	}
	list := wires.All()
	list[0].Name = "changed"
	assert.NotEqual(t, "changed", wires.All()[0].Name, "the list is shared")
}
