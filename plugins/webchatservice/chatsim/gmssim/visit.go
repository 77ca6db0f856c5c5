package gmssim

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// visit is an operation of the visitor under way: the chat locked, the key checked.
type visit struct {
	*Face
	tx *chatsim.Tx
	f  *Form
}

// operations by their name on the wire. Those on files are in files.go.
var operations = map[string]func(v visit) (refusal *Error){
	"send":           visit.send,
	"refresh":        visit.refresh,
	"startTyping":    visit.startTyping,
	"stopTyping":     visit.stopTyping,
	"disconnect":     visit.disconnect,
	"pushUrl":        visit.pushURL,
	"updateNickname": visit.updateNickname,
	"customNotice":   visit.customNotice,
	"updateData":     visit.updateData,
	"readReceipt":    visit.readReceipt,
}

func badRequest(advice string) *Error { return ptr(BadRequest(advice)) }

// checkText says whether a message or a preview is too long.
func (g *Face) checkText(text string) *Error {
	limit := g.opts.MaxMessage
	if len(text) > packetLimit || utf8.RuneCountInString(text) > limit {
		return &Error{Code: CodeTooLong, Advice: strconv.Itoa(limit)}
	}
	return nil
}

// attributesOf reads eventAttributes, a JSON object as text.
func attributesOf(f *Form) (json.RawMessage, *Error) {
	text := f.Get("eventAttributes")
	if text == "" {
		return nil, nil
	}
	if len(text) > packetLimit {
		return nil, &Error{Code: CodeTooLong, Advice: strconv.Itoa(packetLimit)}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		return nil, badRequest("eventAttributes must be a JSON object")
	}
	return json.RawMessage(text), nil
}

func (v visit) send() *Error {
	text := v.f.Get("message")
	if text == "" {
		return badRequest("message needed")
	}
	if e := v.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(v.f)
	if e != nil {
		return e
	}
	v.tx.Add(chatsim.Event{Type: chatsim.Message, Text: text, MessageType: v.f.Get("messageType"), Attributes: attributes})
	return nil
}

func (v visit) refresh() *Error {
	preview, ok := v.f.Values["message"]
	if e := v.checkText(preview); e != nil {
		return e
	}
	if ok {
		v.tx.Preview(preview)
	}
	return nil
}

func (v visit) startTyping() *Error { return v.typing(chatsim.TypingStarted) }

func (v visit) stopTyping() *Error { return v.typing(chatsim.TypingStopped) }

func (v visit) typing(kind chatsim.EventType) *Error {
	preview := v.f.Get("message")
	if e := v.checkText(preview); e != nil {
		return e
	}
	v.tx.Add(chatsim.Event{Type: kind, Text: preview})
	return nil
}

func (v visit) disconnect() *Error {
	v.tx.End(chatsim.EndedByVisitor)
	return nil
}

func (v visit) pushURL() *Error {
	url := v.f.Get("pushUrl")
	if url == "" {
		return badRequest("pushUrl needed")
	}
	if e := v.checkText(url); e != nil {
		return e
	}
	v.tx.Add(chatsim.Event{Type: chatsim.PushURL, Text: url})
	return nil
}

func (v visit) updateNickname() *Error {
	nickname := v.f.Get("nickname")
	if nickname == "" {
		return badRequest("nickname needed")
	}
	v.tx.Rename(nickname)
	return nil
}

func (v visit) customNotice() *Error {
	text := v.f.Get("message")
	if text == "" && v.f.Get("eventAttributes") == "" {
		return badRequest("message or eventAttributes needed")
	}
	if e := v.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(v.f)
	if e != nil {
		return e
	}
	// wire-gms A.7.8: one notice resets the inactivity timer.
	var purpose struct {
		Purpose string `json:"purpose"`
	}
	if json.Unmarshal(attributes, &purpose) == nil && purpose.Purpose == "cancel-idle-timer" {
		v.tx.Active()
	}
	v.tx.Add(chatsim.Event{Type: chatsim.CustomNotice, Text: text, Attributes: attributes})
	return nil
}

func (v visit) updateData() *Error {
	if len(v.f.UserData) == 0 {
		return badRequest("userData needed")
	}
	v.tx.Attach(v.f.UserData)
	return nil
}

func (v visit) readReceipt() *Error {
	n, err := strconv.Atoi(v.f.Get("transcriptPosition"))
	if err != nil || n < 0 {
		return badRequest("transcriptPosition needed")
	}
	v.tx.Read(n)
	return nil
}
