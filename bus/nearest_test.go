package bus_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/bus"
)

func TestNearest(t *testing.T) {
	options := []string{"dataURL", "pollRate", "cometD", "emojis", "async"}
	tests := []struct {
		name, want string
		candidates []string
	}{
		{"datURL", "dataURL", options},
		{"DATAURL", "dataURL", options},
		{"dataUrll", "dataURL", options},
		{"adtaURL", "dataURL", options},
		{"asnyc", "async", options},
		{"caht", "chat", []string{"demo", "chat"}},
		{"poll", "pollRate", options}, // a beginning
		{"po", "", options},
		{"transport", "", options},
		{"", "", options},
		{"x", "", nil},
		{"straße", "Strasse", []string{"Strasse"}},
		{"demo.strat", "demo.stat", []string{"demo.stat", "demo.start"}}, // one edit each: the first
		{strings.Repeat("a", 10_000), "", []string{strings.Repeat("a", 9_999)}},
	}
	for _, tt := range tests {
		got, ok := bus.Nearest(tt.name, tt.candidates)
		assert.Equal(t, tt.want, got, "Nearest(%.20q)", tt.name)
		assert.Equal(t, tt.want != "", ok, "Nearest(%.20q)", tt.name)
	}
}

func ExampleNearest() {
	if name, ok := bus.Nearest("webchatt", []string{"webchat", "demo"}); ok {
		fmt.Printf("did you mean %s?\n", name)
	}
	// Output: did you mean webchat?
}
