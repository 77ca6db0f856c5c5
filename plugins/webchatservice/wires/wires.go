// Package wires lists the drivers that this module has, for programs that want them all.
package wires

import (
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// All returns a new list of all factories. No two of them are selected by the same configuration; when none
// is, the configuration asks for a wire that is not here.
func All() []chat.Factory {
	return []chat.Factory{gmsrest.Factory(), gmscometd.Factory()}
}
