package gmsrest

import (
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// wire knows where the operations of a chat service are. It is immutable.
type wire struct {
	*gms.Wire
	start string // where a chat starts
}

// newWire checks the configuration.
func newWire(c Config, o *chat.Options) (*wire, error) {
	option, address := "webchat.dataURL", c.DataURL
	if address == "" && c.ServerURL != "" {
		option, address = "webchat.serverURL", c.ServerURL
	}
	w, err := gms.NewWire(c.Config, o, option, address, "https://gms.example.net/genesys/2/chat/customer-support")
	if err != nil {
		return nil, err
	}
	start := w.Address + "/"
	if !*c.EnableURLTrailingSlash {
		start = w.Address
	}
	return &wire{w, start}, nil
}

// path returns the address of an operation on a chat.
func (w *wire) path(chatID, operation string) string {
	return w.Address + "/" + url.PathEscape(chatID) + "/" + operation
}
