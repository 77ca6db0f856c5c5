package webchatservice

import (
	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Client returns the service's own client on its bus.
func (s *Service) Client() *bus.Client { return s.client }

// AddLines feeds lines to a fresh transcript, each at its place, and returns which were new and the result.
func AddLines(lines []chat.Message) (fresh []Message, view Transcript) {
	var t transcript
	for i := range lines {
		var m Message
		normalise(&m, &lines[i], false)
		if !t.has(lines[i].Position, lines[i].Behind == nil) {
			t.add(lines[i].Position, lines[i].Behind, &m)
			fresh = append(fresh, m)
		}
	}
	return fresh, t.view()
}

// States are all states.
func States() []State {
	states := make([]State, len(ways))
	for i := range states {
		states[i] = State(i)
	}
	return states
}

// ParseRecord reads a stored record.
var ParseRecord = parseRecord

// NewBackoff returns a source of waits.
var NewBackoff = newBackoff

// VendorOptions are the names that a configuration may have without a factory for them.
func VendorOptions() []string { return vendorOptions() }
