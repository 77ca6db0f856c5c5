package webchatservice

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cxbus/cxbus/bus"
)

// More of the vendor's commands: those that change how lines are shown, and those that only some wires can
// carry (webchatservice 3).
var (
	SendCustomNotice = bus.NewCommand[SendCustomNoticeIn, Answer](Namespace+".sendCustomNotice",
		"Sends a notice to the agent's software, which must know what to do with it.")
	SendFilteredMessage = bus.NewCommand[SendFilteredMessageIn, SendMessageOut](Namespace+".sendFilteredMessage",
		"Sends a message that a filter hides from the transcript; resolves as sendMessage does.")
	AddPrefilter = bus.NewCommand[AddPrefilterIn, Prefilters](Namespace+".addPrefilter",
		"Hides messages that match, until the session ends or the filter is removed; resolves with all filters by their number.")
	RemovePrefilter = bus.NewCommand[RemoveIn, struct{}](Namespace+".removePrefilter",
		"Takes a filter away. It is this service's own command.")
	RegisterPreProcessor = bus.NewCommand[RegisterPreProcessorIn, RegisterPreProcessorOut](Namespace+".registerPreProcessor",
		"Lets a function change lines before they are published; only Go can call it.")
	RemovePreProcessor = bus.NewCommand[RemoveIn, struct{}](Namespace+".removePreProcessor",
		"Takes a pre-processor away. It is this service's own command.")
	RegisterTypingPreviewInput = bus.NewCommand[RegisterTypingPreviewInputIn, struct{}](Namespace+".registerTypingPreviewInput",
		"Lets a function tell what the visitor has typed and not sent; only Go can call it.")
	RemoveTypingPreviewInput = bus.NewCommand[struct{}, struct{}](Namespace+".removeTypingPreviewInput",
		"Forgets that function. It is this service's own command.")
	UpdateInteractionData = bus.NewCommand[map[string]any, map[string]any](Namespace+".updateInteractionData",
		"Merges routing and journey data over what the next session starts with.")
	PausePoll = bus.NewCommand[struct{}, struct{}](Namespace+".pausePoll",
		"Ceases to poll until wake or startPoll.")
	ResetPollExceptions = bus.NewCommand[struct{}, struct{}](Namespace+".resetPollExceptions",
		"Forgets the answers with statusCode 1 so far.")
	AsyncRestore = bus.NewCommand[struct{}, struct{}](Namespace+".asyncRestore",
		"Takes up the stored session, as restore does.")
	FetchHistory = bus.NewCommand[struct{}, Answer](Namespace+".fetchHistory",
		"Fetches an older page of a long-lived session.")
	Sleep = bus.NewCommand[struct{}, struct{}](Namespace+".sleep",
		"Slows polling down, if sleepEnabled, because nobody looks.")
	Wake = bus.NewCommand[WakeIn, struct{}](Namespace+".wake",
		"Polls at the usual pace again, and cancels the server's idle timer.")
	Resend = bus.NewCommand[MessageIn, SendMessageOut](Namespace+".resend",
		"Sends a message again that has failed or whose fate is unknown. It is this service's own command.")
	Discard = bus.NewCommand[MessageIn, struct{}](Namespace+".discard",
		"Takes a message back that waits, or forgets one that has failed or whose fate is unknown. It is this service's own command.")
)

// SendCustomNoticeIn are the options of sendCustomNotice.
type SendCustomNoticeIn struct {
	Message string `json:"message,omitempty"` // for the agent's software
	// EventAttributes is a JSON object that goes along; the vendor's command has none.
	EventAttributes json.RawMessage `json:"eventAttributes,omitempty"`
}

// SendFilteredMessageIn are the options of sendFilteredMessage.
type SendFilteredMessageIn struct {
	Message string `json:"message"` // the text; as in sendMessage
	Regex   Filter `json:"regex"`   // what hides it, and what else matches, until the session ends
}

// AddPrefilterIn are the options of addPrefilter.
type AddPrefilterIn struct {
	Filters Filters `json:"filters"` // what to hide
}

// Filters is one or more filters; in JSON one, or a list.
type Filters []Filter

// UnmarshalJSON takes a filter or a list of them. What is no filter is kept as one without an expression, which
// the commands reject with the vendor's text.
func (f *Filters) UnmarshalJSON(b []byte) error {
	var list []Filter
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		*f = list
		return nil
	}
	var one Filter
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*f = Filters{one}
	return nil
}

// check returns nil, or an error that says which of the filters is none, and why.
func (f Filters) check() error {
	if len(f) == 0 {
		return errors.New("there is none")
	}
	for i := range f {
		if f[i].Regexp == nil {
			return fmt.Errorf("filter %d: %s", i+1, cmp.Or(f[i].wrong, "there is no expression"))
		}
	}
	return nil
}

// Prefilters is what addPrefilter resolves with: all filters that were added, by their number, which
// removePrefilter takes.
type Prefilters map[string]Filter

// RemoveIn says what to take away.
type RemoveIn struct {
	ID string `json:"id"` // as the command gave it that added the thing
}

// RegisterPreProcessorIn are the options of registerPreProcessor.
type RegisterPreProcessorIn struct {
	PreProcessor PreProcessor `json:"-"` // called for each line that no filter hides; those registered before run first

	given string // what JSON had in its place, as typeof names it; "" for a caller in Go
}

// UnmarshalJSON notes what was given in the place of a function; the command says so.
func (in *RegisterPreProcessorIn) UnmarshalJSON(b []byte) (err error) {
	*in = RegisterPreProcessorIn{}
	in.given, err = givenFor("preprocessor", b)
	return err
}

// RegisterPreProcessorOut is what registerPreProcessor resolves with.
type RegisterPreProcessorOut struct {
	// ID is what removePreProcessor takes.
	ID           string       `json:"id"`
	PreProcessor PreProcessor `json:"-"` // the one that was given
}

// RegisterTypingPreviewInputIn are the options of registerTypingPreviewInput.
type RegisterTypingPreviewInputIn struct {
	// Input returns what the visitor has typed so far. It is called at every poll and must not block.
	Input func() string `json:"-"`

	given string // as in RegisterPreProcessorIn
}

// UnmarshalJSON notes what was given in the place of a function; the command says so.
func (in *RegisterTypingPreviewInputIn) UnmarshalJSON(b []byte) (err error) {
	*in = RegisterTypingPreviewInputIn{}
	in.given, err = givenFor("input", b)
	return err
}

// givenFor reads options that can hold one thing alone, and that not in JSON. It returns what typeof calls
// the thing in the browser.
func givenFor(option string, b []byte) (string, error) {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return "", errors.New("want an object")
	}
	v, ok := all[option]
	delete(all, option)
	for name := range all {
		return "", fmt.Errorf("unknown option %q", name)
	}
	switch v.(type) {
	case string:
		return "string", nil
	case bool:
		return "boolean", nil
	case float64:
		return "number", nil
	}
	if !ok {
		return "undefined", nil
	}
	return "object", nil
}

// WakeIn are the options of wake.
type WakeIn struct {
	// ResetIdleState cancels the server's idle timer also when the service was not asleep.
	ResetIdleState bool `json:"resetIdleState,omitempty"`
}

// MessageIn names a message by the id that sendMessage and messageStateChanged gave.
type MessageIn struct {
	MessageID string `json:"messageID"` // as sendMessage and messageStateChanged gave it
}
