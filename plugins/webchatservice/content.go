package webchatservice

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Postback answers the structured content of a line, in [SendMessageIn]. Which fields count depends on the type of the
// message.
type Postback struct {
	// ID is the line that is answered, for datePicker, listPicker and form.
	ID string `json:"id,omitempty"`
	// Text is what the answer says in words; it is the message if that has no text.
	Text string `json:"text,omitempty"`
	// Payload is what the content offered for it: text for quickReply and card, {dateTime} for datePicker.
	Payload json.RawMessage `json:"payload,omitempty"`
	// SelectedOptions are what was picked, for listPicker.
	SelectedOptions []chat.PickerOption `json:"selectedOptions,omitempty"`
	// CannedResponseID is the form that FormData fills in.
	CannedResponseID string          `json:"cannedResponseId,omitempty"`
	FormData         json.RawMessage `json:"formData,omitempty"` // what the visitor filled in
}

// replyKinds are the types of messages that a postback may go with.
var replyKinds = [...]chat.ReplyKind{chat.ReplyQuickReply, chat.ReplyCard, chat.ReplyDatePicker, chat.ReplyListPicker, chat.ReplyForm}

// reply makes the reply of a message of that type, and reports whether it is one. It looks only at whether there is
// something to send: the content may be of a line that this transcript does not have.
func (p *Postback) reply(kind string) (*chat.Reply, bool) {
	r := &chat.Reply{
		Kind: chat.ReplyKind(kind), ID: p.ID, Text: p.Text, Payload: p.Payload, Options: p.SelectedOptions,
		CannedResponseID: p.CannedResponseID, FormData: p.FormData,
	}
	empty := p.Text == "" && (len(p.Payload) == 0 || string(p.Payload) == "null") && len(p.SelectedOptions) == 0 && len(p.FormData) == 0
	return r, slices.Contains(replyKinds[:], r.Kind) && !empty
}

// postbackOf is the postback of a reply; nil for none.
func postbackOf(r *chat.Reply) *Postback {
	if r == nil {
		return nil
	}
	return &Postback{
		ID: r.ID, Text: r.Text, Payload: r.Payload, SelectedOptions: r.Options, CannedResponseID: r.CannedResponseID, FormData: r.FormData,
	}
}

// text is the message of a reply in words, for those who see nothing else.
func (p *Postback) text() string {
	if p.Text != "" {
		return p.Text
	}
	var texts []string
	for _, o := range p.SelectedOptions {
		texts = append(texts, o.Text)
	}
	if len(texts) > 0 {
		return strings.Join(texts, ", ")
	}
	var payload string
	_ = json.Unmarshal(p.Payload, &payload) // what is no text has none
	return payload
}

// Structured is the structured content of a line.
type Structured struct {
	// Content is the content as the wire has it: its items, as they came.
	Content []chat.JSON `json:"content,omitempty"`
	// QuickReplies are answers that are offered; sendMessage sends one as a postback of type quickReply.
	QuickReplies []chat.QuickReply `json:"quickReplies,omitempty"`
	// Cards are a card, or those of a carousel; their buttons are answered by a postback of type card.
	Cards []chat.Card `json:"cards,omitempty"`
	// Picker lets the visitor pick a time or entries of a list; a postback of type datePicker or listPicker answers.
	Picker *chat.Picker `json:"picker,omitempty"`
	// Form is a form to fill in, as it came; a postback of type form answers.
	Form chat.JSON `json:"form,omitempty"`
}

// structured is what is published of a line's content.
func structured(c *chat.Content) *Structured {
	s := &Structured{
		Content: c.Items, QuickReplies: slices.Clone(c.QuickReplies), Cards: slices.Clone(c.Cards), Picker: c.Picker, Form: c.Form,
	}
	for i := range s.QuickReplies {
		safeURL(&s.QuickReplies[i].Image)
	}
	for i := range s.Cards {
		card := &s.Cards[i]
		safeURL(&card.Image)
		if card.DefaultAction != nil {
			action := *card.DefaultAction
			safeURL(&action.URL)
			card.DefaultAction = &action
		}
		card.Actions = slices.Clone(card.Actions)
		for j := range card.Actions {
			safeURL(&card.Actions[j].URL)
		}
	}
	return s
}

// safeURL leaves a URL out that a click, or a page that shows it, could run: of those that are published, the schemes
// are these.
func safeURL(address *string) {
	u, err := url.Parse(*address)
	if err != nil || !slices.Contains([]string{"https", "http", "mailto", "tel"}, strings.ToLower(u.Scheme)) {
		*address = ""
	}
}

// maskContent returns content in which what must not be seen is hidden.
func (h *hooks) maskContent(s *Structured) *Structured {
	if s == nil {
		return nil
	}
	items := make([]chat.JSON, len(s.Content))
	for i, item := range s.Content {
		items[i] = h.maskJSON(item)
	}
	return &Structured{items, masked(h, s.QuickReplies), masked(h, s.Cards), masked(h, s.Picker), h.maskJSON(s.Form)}
}

// masked is v with what must not be seen hidden in all its texts.
func masked[T any](h *hooks, v T) (out T) {
	raw, err := json.Marshal(v)
	if err != nil || json.Unmarshal(h.maskJSON(raw), &out) != nil {
		return *new(T) // does not happen: it is texts and numbers
	}
	return out
}
