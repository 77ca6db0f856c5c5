package eventbus_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/eventbus"
)

func TestEventName(t *testing.T) {
	tests := []struct{ topic, want string }{
		{"topic", "topic"},
		{"main:calculator-1/x_y", "main:calculator-1/x_y"},
		{"order.created", "order.created"},
		{"grüße", "grüße"},
		{"user created", "user%20created"},
		{"a\tb\n", "a%09b%0A"},
		{"100%", "100%25"},
		{"*", "%2A"},
		{"a.*", "a.%2A"},
		{"", "%"},
		{".", "%2E"},
		{".a", "%2Ea"},
		{"a.", "a%2E"},
		{"a..b", "a.%2Eb"},
		{"a...b", "a.%2E%2Eb"},
		{"\xff", "%FF"},
		{"\uFFFD", "%EF%BF%BD"},
		{"\u00a0", "%C2%A0"},
		{"ready", "%72eady"},
		{"ready.now", "ready.now"},
		{"data", "data"},
		{"data.open", "%64ata.open"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, eventbus.EventName(tt.topic), "EventName(%q)", tt.topic)
		back, ok := eventbus.TopicOf(tt.want)
		assert.True(t, ok, "TopicOf(%q)", tt.want)
		assert.Equal(t, tt.topic, back)
	}
	for _, name := range []string{"%4", "%4g", "%2a", "%41", "a%", "ready", "data.x", "a..b", "a b", "%%"} {
		_, ok := eventbus.TopicOf(name)
		assert.False(t, ok, "TopicOf(%q)", name)
	}
}

// FuzzEventName: every topic has a name that the bus takes and that leads back
// to it.
func FuzzEventName(f *testing.F) {
	for _, s := range []string{"", "topic", "user created", "a..b", ".", "*", "%", "%41", "ready", "data.x", "\xff\xfe", "é\u0301", "\U0001F600.", "\u2028"} {
		f.Add(s)
	}
	b := bus.New(nil)
	c, err := b.Register("Legacy")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		name := eventbus.EventName(topic)
		back, ok := eventbus.TopicOf(name)
		if !ok || back != topic {
			t.Fatalf("TopicOf(EventName(%q)) = %q, %v", topic, back, ok)
		}
		if err := c.Publish(context.Background(), name, nil); err != nil && len(name) <= 256 {
			t.Fatalf("Publish(%q) = %v", name, err)
		}
		if again, ok := eventbus.TopicOf(topic); ok && eventbus.EventName(again) != topic {
			t.Fatalf("EventName(TopicOf(%q)) = %q", topic, eventbus.EventName(again))
		}
	})
}
