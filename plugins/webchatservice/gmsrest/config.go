package gmsrest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Config has the options of this wire (webchatservice 2.1, 5.4). The zero value of each field but the addresses means the
// default. Printing it, as JSON too, shows no secret and no password of an address.
type Config struct {
	// DataURL is the root of the chat service, such as
	// https://gms.example.net/genesys/2/chat/customer-support. Trailing slashes do not matter.
	DataURL string `json:"dataURL" doc:"root of the chat service, such as https://gms.example.net/genesys/2/chat/customer-support; required for GMS over REST"`
	// ServerURL is used as it stands in the place of an empty DataURL.
	ServerURL string `json:"serverURL" doc:"used as it stands where dataURL is empty"`
	// EnableURLTrailingSlash has chats start at <root>/, not at <root>. nil means true.
	EnableURLTrailingSlash *bool `json:"enableUrlTrailingSlash" default:"true" doc:"start a chat at <dataURL>/ instead of <dataURL>"`

	gms.Config

	// PollRate is the time between polls where DynamicPolling is false, and right after waking. 0 means 3 s.
	PollRate time.Duration `json:"pollRate" unit:"ms" min:"1000" max:"30000" default:"3000" doc:"time between polls where dynamicPolling is false, and right after waking"`
	// DynamicPolling polls fast after activity, then slower and slower. nil means true.
	DynamicPolling *bool `json:"dynamicPolling" default:"true" doc:"poll fast after activity, then slower and slower"`
	// PollRateMin is the shortest time between dynamic polls. 0 means 500 ms.
	PollRateMin time.Duration `json:"pollRateMin" unit:"ms" min:"250" max:"30000" default:"500" doc:"shortest time between dynamic polls"`
	// PollRateMax is the longest time between dynamic polls, not less than PollRateMin. 0 means 3 s.
	PollRateMax time.Duration `json:"pollRateMax" unit:"ms" min:"250" max:"30000" default:"3000" doc:"longest time between dynamic polls; not below pollRateMin"`
	// PollIntervalIdle is an older name of PollRateMax, and wins. 0: it is not used.
	PollIntervalIdle time.Duration `json:"pollIntervalIdle_ms" unit:"ms" min:"0" max:"30000" doc:"older name of pollRateMax; 0: not used"`
	// PollRateMult is by what the time between dynamic polls grows, more than 1. 0 means 1.2.
	PollRateMult float64 `json:"pollRateMult" min:"1.01" max:"100" default:"1.2" doc:"growth of the time between dynamic polls"`
	// PollRateSleep is the time between polls while sleeping. 0 means 30 s.
	PollRateSleep time.Duration `json:"pollRateSleep" unit:"ms" min:"1000" max:"30000" default:"30000" doc:"time between polls while sleeping"`
}

// Validate returns nil, or a [*chat.Error] with code invalid that names the options on polling that do not go together.
func (c Config) Validate() error {
	c = chat.WithDefaults(c)
	longest, name := c.PollRateMax, "pollRateMax"
	if c.PollIntervalIdle != 0 {
		longest, name = c.PollIntervalIdle, "pollIntervalIdle_ms"
	}
	text := ""
	switch {
	case c.PollRate < 0 || c.PollRateMin < 0 || c.PollRateSleep < 0:
		text = "a poll rate is negative"
	case longest < c.PollRateMin:
		text = fmt.Sprintf("webchat.%s: %d is out of range, want at least pollRateMin, which is %d",
			name, longest.Milliseconds(), c.PollRateMin.Milliseconds())
	case !(c.PollRateMult > 1): // NaN, too
		text = "webchat.pollRateMult is not more than 1"
	}
	if text != "" {
		return gms.Invalid("configure", text)
	}
	return nil
}

// poll returns the pace of polling.
func (c Config) poll() poll {
	p := poll{
		fixed: !*c.DynamicPolling, rate: c.PollRate, shortest: c.PollRateMin, longest: c.PollRateMax,
		mult: c.PollRateMult, sleep: c.PollRateSleep,
	}
	if c.PollIntervalIdle != 0 {
		p.longest = c.PollIntervalIdle
	}
	return p
}

// Format implements [fmt.Formatter].
func (c Config) Format(f fmt.State, _ rune) { chat.FormatConfig(f, c) }

// MarshalJSON implements [json.Marshaler].
func (c Config) MarshalJSON() ([]byte, error) { return chat.MarshalConfig(c) }

var _ json.Marshaler = Config{}
