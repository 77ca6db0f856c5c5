package gmscometd

import (
	"encoding/json"
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Config has the options of this wire (webchatservice 2.1, 2.2). The zero value of each field but CometURL means the
// default. Printing it, as JSON too, shows no secret and no password of an address.
type Config struct {
	// CometURL is the Bayeux end point, such as https://gms.example.net/genesys/cometd.
	CometURL string `json:"cometURL" group:"cometD" doc:"Bayeux end point, such as http://host:port/genesys/cometd"`
	// Channel is the service channel of requests and answers. "" means /service/chatV2/customer-support.
	Channel string `json:"channel" group:"cometD" default:"/service/chatV2/customer-support" doc:"service channel of requests and answers"`
	// APIURL is where files go, such as https://gms.example.net/genesys/2/chat-ntf; without it there are none.
	APIURL string `json:"apiURL" group:"cometD" doc:"where files go, such as http://host:port/genesys/2/chat-ntf"`
	// WebsocketEnabled allows websockets; without them there is long polling only. nil means true.
	WebsocketEnabled *bool `json:"websocketEnabled" group:"cometD" default:"true" doc:"false: long polling only"`
	// LogLevel has no effect: it is that of the browser's library.
	LogLevel string `json:"logLevel" group:"cometD" oneof:"debug,info,warn,error" default:"info" doc:"of the browser's CometD library; has no effect here"`

	gms.Config
}

// Format implements [fmt.Formatter].
func (c Config) Format(f fmt.State, _ rune) { chat.FormatConfig(f, c) }

// MarshalJSON implements [json.Marshaler].
func (c Config) MarshalJSON() ([]byte, error) { return chat.MarshalConfig(c) }

var _ json.Marshaler = Config{}
