package chat

import "encoding/json"

// Content is the structured content of a line. The derived fields hold what a renderer needs to show it; they have JSON
// names since they are published as they are. It is immutable.
type Content struct {
	// Items are the wire's own content items, as they came.
	Items []JSON

	QuickReplies []QuickReply
	Cards        []Card
	Picker       *Picker
	Form         JSON // as it came
}

// QuickReply is an answer that is offered.
type QuickReply struct {
	Text    string `json:"text"`            // what to show
	Payload string `json:"payload"`         // what to send
	Image   string `json:"image,omitempty"` // the URL of a picture
	ID      string `json:"id,omitempty"`    // the server's id of it
}

// Card is a card, alone or of a carousel.
type Card struct {
	Title         string       `json:"title"`                   // the heading
	Description   string       `json:"description,omitempty"`   // the text below it
	Image         string       `json:"image,omitempty"`         // the URL of a picture
	DefaultAction *CardAction  `json:"defaultAction,omitempty"` // what a click on the card does
	Actions       []CardAction `json:"actions,omitempty"`       // its buttons
}

// CardAction is what a click does.
type CardAction struct {
	Type    string `json:"type"`              // Link or Postback
	Text    string `json:"text,omitempty"`    // what to show
	URL     string `json:"url,omitempty"`     // where a Link leads
	Payload string `json:"payload,omitempty"` // what a Postback sends
}

// Picker lets the visitor pick a time, or entries of a list.
type Picker struct {
	Kind     string         `json:"kind"`               // date or list
	ID       string         `json:"id,omitempty"`       // the server's id of it
	Title    string         `json:"title,omitempty"`    // the heading
	Subtitle string         `json:"subtitle,omitempty"` // the text below it
	Times    []PickerTime   `json:"times,omitempty"`    // what a date picker offers
	Options  []PickerOption `json:"options,omitempty"`  // what a list picker offers
}

// PickerTime is a time that can be picked.
type PickerTime struct {
	Time     int64 `json:"time"`     // ms since 1970, UTC
	Duration int64 `json:"duration"` // seconds
}

// PickerOption is an entry of a list.
type PickerOption struct {
	Text    string `json:"text"`    // what to show
	Payload string `json:"payload"` // what to send
}

// ReplyKind is a kind of structured content that can be answered.
type ReplyKind string

// The kinds of replies.
const (
	ReplyQuickReply ReplyKind = "quickReply"
	ReplyCard       ReplyKind = "card"
	ReplyDatePicker ReplyKind = "datePicker"
	ReplyListPicker ReplyKind = "listPicker"
	ReplyForm       ReplyKind = "form"
)

// Reply is the answer to structured content.
type Reply struct {
	Kind ReplyKind
	// ID is the line that is answered, for pickers and forms.
	ID string
	// Text is what the answer says in words.
	Text string
	// Payload is what was offered for it: text for a quick reply and a card, {dateTime} for a date picker.
	Payload json.RawMessage
	// Options are the entries that were picked of a list.
	Options []PickerOption
	// CannedResponseID and FormData are of a form: which one it is, and what was filled in.
	CannedResponseID string
	FormData         json.RawMessage
}
