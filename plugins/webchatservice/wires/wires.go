// Package wires lists the drivers that this module has, for programs that want them all.
package wires

import (
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// All returns a new list of all factories. At most one of them matches a configuration; when none
// does, the configuration asks for a wire that is not here.
func All() []chat.Factory {
	return []chat.Factory{gmsrest.Factory(), gmscometd.Factory()}
}
