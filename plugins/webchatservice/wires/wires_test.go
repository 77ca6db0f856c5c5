package wires_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// match returns the names of the factories that match c.
func match(c chat.Config) []string {
	var names []string
	for _, f := range wires.All() {
		if f.Matches(c) {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestAtMostOneMatches(t *testing.T) {
	for _, c := range []struct {
		name   string
		config chat.Config
		want   []string
	}{
		{"default transport", chat.Config{DataURL: "http://gms.example.net/genesys/2/chat/cs"}, []string{"gms"}},
		{"nothing set, so that New can say what is missing", chat.Config{}, []string{"gms"}},
		{"CometD", chat.Config{CometD: chat.CometD{Enabled: true}}, []string{"gms-cometd"}},
		{"another transport", chat.Config{Transport: "purecloud-v2-sockets"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, match(c.config)) })
	}
}

func TestFactoriesAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range wires.All() {
		require.NotEmpty(t, f.Name)
		require.False(t, seen[f.Name], "two factories named %q", f.Name)
		seen[f.Name] = true
		_, err := f.New(chat.Config{}, chat.Options{})
		var e *chat.Error
		require.ErrorAs(t, err, &e, "an empty configuration is no configuration")
		assert.Equal(t, chat.CodeInvalid, e.Code)
	}
	list := wires.All()
	list[0].Name = "changed"
	assert.NotEqual(t, "changed", wires.All()[0].Name, "the list is shared")
}
