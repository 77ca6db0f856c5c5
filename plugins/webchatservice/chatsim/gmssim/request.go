package gmssim

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// request is an operation of the visitor under way: the chat locked, the key checked.
type request struct {
	*Face
	tx *chatsim.Tx
	f  *Form
}

// operations by their name on the wire. Those on files are in files.go.
var operations = map[string]func(r request) (refusal *Error){
	"send":           request.send,
	"refresh":        request.refresh,
	"startTyping":    request.startTyping,
	"stopTyping":     request.stopTyping,
	"disconnect":     request.disconnect,
	"pushUrl":        request.pushURL,
	"updateNickname": request.updateNickname,
	"customNotice":   request.customNotice,
	"updateData":     request.updateData,
	"readReceipt":    request.readReceipt,
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

func (r request) send() *Error {
	text := r.f.Get("message")
	if text == "" {
		return badRequest("message needed")
	}
	if e := r.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(r.f)
	if e != nil {
		return e
	}
	r.tx.Add(chatsim.Event{Type: chatsim.Message, Text: text, MessageType: r.f.Get("messageType"), Attributes: attributes})
	return nil
}

func (r request) refresh() *Error {
	preview, ok := r.f.Values["message"]
	if e := r.checkText(preview); e != nil {
		return e
	}
	if ok {
		r.tx.Preview(preview)
	}
	return nil
}

func (r request) startTyping() *Error { return r.typing(chatsim.TypingStarted) }

func (r request) stopTyping() *Error { return r.typing(chatsim.TypingStopped) }

func (r request) typing(kind chatsim.EventType) *Error {
	preview := r.f.Get("message")
	if e := r.checkText(preview); e != nil {
		return e
	}
	r.tx.Add(chatsim.Event{Type: kind, Text: preview})
	return nil
}

func (r request) disconnect() *Error {
	r.tx.End(chatsim.EndedByVisitor)
	return nil
}

func (r request) pushURL() *Error {
	url := r.f.Get("pushUrl")
	if url == "" {
		return badRequest("pushUrl needed")
	}
	if e := r.checkText(url); e != nil {
		return e
	}
	r.tx.Add(chatsim.Event{Type: chatsim.PushURL, Text: url})
	return nil
}

func (r request) updateNickname() *Error {
	nickname := r.f.Get("nickname")
	if nickname == "" {
		return badRequest("nickname needed")
	}
	r.tx.Rename(nickname)
	return nil
}

func (r request) customNotice() *Error {
	text := r.f.Get("message")
	if text == "" && r.f.Get("eventAttributes") == "" {
		return badRequest("message or eventAttributes needed")
	}
	if e := r.checkText(text); e != nil {
		return e
	}
	attributes, e := attributesOf(r.f)
	if e != nil {
		return e
	}
	// wire-gms A.7.8: one notice resets the inactivity timer.
	var purpose struct {
		Purpose string `json:"purpose"`
	}
	if json.Unmarshal(attributes, &purpose) == nil && purpose.Purpose == "cancel-idle-timer" {
		r.tx.Active()
	}
	r.tx.Add(chatsim.Event{Type: chatsim.CustomNotice, Text: text, Attributes: attributes})
	return nil
}

func (r request) updateData() *Error {
	if len(r.f.UserData) == 0 {
		return badRequest("userData needed")
	}
	r.tx.Attach(r.f.UserData)
	return nil
}

func (r request) readReceipt() *Error {
	n, err := strconv.Atoi(r.f.Get("transcriptPosition"))
	if err != nil || n < 0 {
		return badRequest("transcriptPosition needed")
	}
	r.tx.Read(n)
	return nil
}
