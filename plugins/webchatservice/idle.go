package webchatservice

import (
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// IdleAlertData is the payload of [IdleAlert].
type IdleAlertData struct {
	// Seconds is the time to the next step; 0 when the server did not say.
	Seconds int `json:"seconds"`
	// Closing: the next step ends the chat.
	Closing bool `json:"closing"`
	// Closed: this was the last step; ended follows.
	Closed bool   `json:"closed"`
	Text   string `json:"text,omitempty"` // the server's words
}

// idleAlert follows the server's idle timer. What is to be published goes to a list.
type idleAlert struct{ on bool }

// apply takes in a line and adds what changed to out. alert is what the line tells of the server's timer; nil for
// nothing.
func (a *idleAlert) apply(m *Message, alert *chat.IdleAlert, out *publications) {
	switch m.Type {
	case chat.KindIdleAlert:
		if m.Restoring { // it is long past
			return
		}
		a.on = true
		d := IdleAlertData{Text: m.Text}
		if alert != nil {
			d.Seconds, d.Closing = int(alert.After.Seconds()), alert.Closing
		}
		add(out, IdleAlert, d)
	case chat.KindIdleClose:
		a.on = false
		if !m.Restoring {
			add(out, IdleAlert, IdleAlertData{Closed: true, Text: m.Text})
		}
	case chat.KindMessage:
		if a.cancel() {
			add(out, IdleCancelled, struct{}{})
		}
	}
}

// cancel notes that somebody was active, and reports whether that ends an alert.
func (a *idleAlert) cancel() bool {
	was := a.on
	a.on = false
	return was
}
