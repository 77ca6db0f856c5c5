package webchatservice

import (
	"encoding/json"
	"strconv"
	"strings"

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

// apply takes in a line and adds what changed to out. countdown is what came with the line.
func (a *idleAlert) apply(m *Message, countdown json.RawMessage, out *publications) {
	switch m.Type {
	case chat.KindIdleAlert:
		if m.Restoring { // it is long past
			return
		}
		a.on = true
		seconds, err := strconv.Atoi(text(m.UserData["next-idle-timer-secs"]))
		if err != nil { // not told there (wire-gms A.3)
			seconds = secondsOf(countdown)
		}
		add(out, IdleAlert, IdleAlertData{
			Seconds: max(seconds, 0), Text: m.Text,
			Closing: strings.EqualFold(text(m.UserData["next-idle-timer-type"]), "CLOSE"),
		})
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

// secondsOf reads a count-down, which is a number, or one as text; 0 when it is neither.
func secondsOf(countdown json.RawMessage) int {
	var v any
	if json.Unmarshal(countdown, &v) != nil {
		return 0
	}
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil || !(f >= 0 && f < 1<<31) {
		return 0
	}
	return int(f)
}

// text is a value of user data as text.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}
