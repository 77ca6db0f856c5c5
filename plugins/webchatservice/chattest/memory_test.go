package chattest_test

import (
	"testing"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// Each kind of wire that a Memory can be passes the suite.
func TestMemoryConformance(t *testing.T) {
	for name, opts := range map[string]*chattest.MemoryOptions{
		"Zero":                    nil,
		"Unconfirmed":             {Unconfirmed: true},
		"IDs":                     {IDs: true},
		"Echoing":                 {IDs: true, Echo: true},
		"Disordered":              {IDs: true, Window: 300 * time.Millisecond},
		"Numbered and disordered": {Window: 300 * time.Millisecond},
		"Content":                 {Content: true},
	} {
		t.Run(name, func(t *testing.T) {
			chattest.Run(t, chattest.Harness{
				New:      func(*testing.T) chattest.Server { return chattest.NewMemory(opts) },
				Features: chattest.MemoryFeatures(opts),
			})
		})
	}
}
