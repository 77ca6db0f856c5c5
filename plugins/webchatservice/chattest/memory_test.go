package chattest_test

import (
	"testing"

	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestMemoryConformance(t *testing.T) {
	chattest.Run(t, chattest.Harness{
		New:      func(*testing.T) chattest.Server { return chattest.NewMemory(nil) },
		Features: chattest.MemoryFeatures(),
	})
}

func TestMemoryUnconfirmedConformance(t *testing.T) {
	features := chattest.MemoryFeatures()
	features.Confirms = false
	chattest.Run(t, chattest.Harness{
		New: func(*testing.T) chattest.Server {
			return chattest.NewMemory(&chattest.MemoryOptions{Unconfirmed: true})
		},
		Features: features,
	})
}
