package gms

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// Values of [Answer.StatusCode] (wire-gms A.5).
const (
	StatusOK    = 0 // accepted
	StatusRetry = 1 // failed now; the other fields are not reliable
	StatusError = 2 // failed; repeating cannot help
)

// Answer is what one response object said (wire-gms A.3). Beside an error it holds what could be read.
type Answer struct {
	StatusCode int
	Ended      bool
	EndedTold  bool // chatEnded was there
	StatusTold bool // statusCode was there
	Session    chat.Session
	Next       int64          // nextPosition; 0 when it was not there
	Asked      int64          // the position that the answer was asked for, set by the one who asked; 0 when it was not asked for one
	Messages   []chat.Message // in the order of their indices
	Errors     []chat.ServerError
	Idle       chat.JSON
	Raw        chat.JSON // the object without its secrets
}

var errNotObject = errors.New("answer is JSON, but no response object")

// ErrNoStatus is returned by [Parse] for an answer that has no statusCode though it must.
var ErrNoStatus = errors.New("answer has no statusCode")

// Parse reads a response object. secrets are what the answer may contain and must not show. Without
// needStatus an answer may lack its statusCode, as error bodies do (wire-gms A.6). The answer shares
// no memory with body.
func Parse(body []byte, needStatus bool, secrets ...chat.Secret) (Answer, error) {
	body, err := wirejson.Value(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if err != nil {
		return Answer{}, err
	}
	return ParseValid(body, needStatus, secrets...)
}

// ParseValid is Parse for a body that is known to be valid: see [wirejson.Valid].
func ParseValid(body []byte, needStatus bool, secrets ...chat.Secret) (Answer, error) {
	var a Answer
	newKey := ""
	var keys []wirejson.Place
	if !wirejson.EachPlace(body, func(name []byte, at wirejson.Place) {
		if isSecureKey(name) {
			newKey = wirejson.Scalar(body[at.Begin:at.End])
			keys = append(keys, at)
		}
	}) {
		return Answer{}, errNotObject
	}
	a.Session.SecureKey = chat.NewSecret(newKey)
	a.Raw = wirejson.NewHider(append([]chat.Secret{a.Session.SecureKey}, secrets...)...).Object(body, keys...)
	status, lines := "", []byte(nil)
	wirejson.EachMember(a.Raw, func(name, value []byte) {
		switch string(name) {
		case "statusCode":
			status = wirejson.Scalar(value)
		case "chatEnded":
			a.EndedTold, a.Ended = !wirejson.IsNull(value), wirejson.Scalar(value) == "true"
		case "chatId":
			a.Session.ID = wirejson.Scalar(value)
		case "alias":
			a.Session.Alias = wirejson.Scalar(value)
		case "userId":
			a.Session.UserID = wirejson.Scalar(value)
		case "nextPosition":
			if n, ok := wirejson.Integer(wirejson.Scalar(value)); ok {
				a.Next = n
			}
		case "messages":
			lines = value
		case "errors":
			a.Errors = parseErrors(value)
		case "idleTimerExpire":
			if !wirejson.IsNull(value) {
				a.Idle = value
			}
		}
	})
	if n, err := strconv.Atoi(status); err == nil {
		a.StatusCode, a.StatusTold = n, true
	} else if needStatus || status != "" {
		return Answer{}, ErrNoStatus
	} else if len(a.Errors) > 0 {
		a.StatusCode = StatusError
	}
	a.Messages = newLines(lines)
	if lines != nil && !wirejson.IsNull(lines) && !wirejson.EachElement(lines, func(raw []byte) {
		if raw[0] == '{' { // what is no object is no line
			a.Messages = append(a.Messages, parseLine(raw))
		}
	}) {
		return Answer{}, errNotObject
	}
	sortLines(a.Messages)
	for i := range a.Messages {
		if m := &a.Messages[i]; m.Kind == chat.KindIdleAlert {
			m.Idle = idleAlert(m, a.Idle)
		}
	}
	return a, nil
}

// newLines returns an empty list for the lines of an array of that length, each of which has some 190 bytes.
func newLines(array []byte) []chat.Message {
	n := len(array) / 190
	if n == 0 && len(array) > 2 {
		n = 1
	}
	if n == 0 {
		return nil
	}
	return make([]chat.Message, 0, n)
}

// parseErrors reads the list under errors. What is no object in it is kept as text.
func parseErrors(list []byte) (errs []chat.ServerError) {
	add := func(raw []byte) {
		var e chat.ServerError
		if !wirejson.EachMember(raw, func(name, value []byte) {
			switch string(name) {
			case "code":
				e.Code = wirejson.Scalar(value)
			case "advice":
				e.Advice = wirejson.Scalar(value)
			}
		}) {
			e.Advice = wirejson.Scalar(raw)
		}
		if e.Code != "" || e.Advice != "" {
			errs = append(errs, e)
		}
	}
	if !wirejson.EachElement(list, add) {
		add(list)
	}
	return errs
}

// parseLine reads one line (wire-gms A.4). A member of the wrong type costs that member alone.
func parseLine(raw []byte) chat.Message {
	m := chat.Message{Raw: raw}
	wirejson.EachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "from":
			wirejson.EachMember(value, func(name, value []byte) {
				switch string(name) {
				case "nickname":
					m.From.Name = wirejson.Scalar(value)
				case "participantId":
					m.From.ID = wirejson.Scalar(value)
				case "type":
					m.From.Role = chat.Role(word(value))
				}
			})
		case "index":
			if n, ok := wirejson.Integer(wirejson.Scalar(value)); ok && n > 0 && n < math.MaxInt64 {
				m.Index = n
			}
		case "type":
			m.Kind = chat.MessageKind(word(value))
		case "utcTime":
			if ms, ok := wirejson.Integer(wirejson.Scalar(value)); ok {
				m.Time = time.UnixMilli(ms).UTC()
			}
		case "text":
			m.Text = wirejson.Scalar(value)
		case "messageType":
			m.Label = word(value)
		case "userData":
			m.UserData = members(value)
		case "eventAttributes":
			if !wirejson.IsNull(value) {
				m.Attributes = value
			}
		}
	})
	if m.Attributes != nil {
		content, text, bot := readAttributes(m.Attributes)
		m.Content = content
		if text != nil {
			m.Text = *text
		}
		if bot {
			m.From.Role = chat.RoleBot
		}
	}
	m.Own = m.From.Role == chat.RoleClient
	if m.Own && m.Attributes != nil {
		m.ClientID = wirejson.Scalar(wirejson.Dig(m.Attributes, MarkGroup, MarkName))
	}
	if m.Kind == chat.KindFileUploaded || m.Kind == chat.KindFileDeleted {
		m.File = &chat.File{ID: member(m.UserData, "file-id"), Name: member(m.UserData, "file-name"), Size: -1}
		if n, ok := wirejson.Integer(member(m.UserData, "file-size")); ok && n >= 0 {
			m.File.Size = n
		}
	}
	return m
}

// word is scalar for values that are almost always one of a few: those are not copied.
func word(value []byte) string {
	if len(value) > 2 && value[0] == '"' {
		switch string(value[1 : len(value)-1]) {
		case "text":
			return "text"
		case string(chat.RoleClient):
			return string(chat.RoleClient)
		case string(chat.RoleAgent):
			return string(chat.RoleAgent)
		case string(chat.RoleExternal):
			return string(chat.RoleExternal)
		case string(chat.KindMessage):
			return string(chat.KindMessage)
		case string(chat.KindTypingStarted):
			return string(chat.KindTypingStarted)
		case string(chat.KindTypingStopped):
			return string(chat.KindTypingStopped)
		}
	}
	return wirejson.Scalar(value)
}

// members decodes an object; what is none has no members.
func members(value []byte) map[string]any {
	if value[0] != '{' {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber() // a number attached by somebody keeps its digits
	var m map[string]any
	_ = dec.Decode(&m) // it is valid
	return m
}

// member returns a member as text.
func member(m map[string]any, name string) string {
	switch v := m[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// MarkGroup and MarkName are where a line's eventAttributes carry its ClientID. Servers give attributes back as they came (wire-gms
// A.4); nobody else has a use for these.
const (
	MarkGroup = "cxbus"
	MarkName  = "client-id"
)

// readAttributes returns structured content and the text of it, if there are any, and whether the sender has
// the style of a bot (wire-gms A.4; webchatservice 4.4).
func readAttributes(attributes []byte) (content *chat.Content, text *string, bot bool) {
	style := wirejson.Dig(attributes, "GCTI_SYSTEM", "party-info", "style")
	bot = strings.Trim(wirejson.Scalar(style), `"`) == "BOT" // it may be JSON in a string
	item := wirejson.Dig(attributes, "structured-content", "genesys-chat", "content")
	if len(item) > 0 && item[0] == '"' { // an object in a string
		item = []byte(wirejson.Scalar(item))
	}
	if len(item) == 0 || item[0] != '{' || !wirejson.Valid(item) {
		return nil, nil, bot
	}
	if t := wirejson.Dig(item, "text"); len(t) > 0 && t[0] == '"' {
		s := wirejson.Scalar(t)
		text = &s
	}
	return &chat.Content{Items: []chat.JSON{item}}, text, bot
}

// idleAlert reads what an alert says of the server's idle timer; countdown is the answer's, which counts if the alert
// does not tell the time (wire-gms A.3).
func idleAlert(m *chat.Message, countdown chat.JSON) *chat.IdleAlert {
	seconds, err := strconv.ParseFloat(member(m.UserData, "next-idle-timer-secs"), 64)
	if err != nil {
		seconds, err = strconv.ParseFloat(wirejson.Scalar(countdown), 64)
	}
	alert := &chat.IdleAlert{Closing: strings.EqualFold(member(m.UserData, "next-idle-timer-type"), "CLOSE")}
	if err == nil && seconds > 0 && seconds < 1<<31 {
		alert.After = time.Duration(seconds) * time.Second
	}
	return alert
}

// sortLines puts lines into the order of their indices; one without an index stays behind the one
// before it (wire-gms A.4: do not rely on the order of the array).
func sortLines(lines []chat.Message) {
	sorted, last := true, int64(0)
	for i := range lines {
		if lines[i].Index != 0 {
			sorted = sorted && last <= lines[i].Index
			last = lines[i].Index
		}
	}
	if sorted {
		return
	}
	type placed struct {
		at   int64
		line chat.Message
	}
	all := make([]placed, len(lines))
	last = 0
	for i, l := range lines {
		if l.Index != 0 {
			last = l.Index
		}
		all[i] = placed{last, l}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	for i, p := range all {
		lines[i] = p.line
	}
}

// isSecureKey reports whether a member of a response object is the session's key. A proxy may have written it in other
// case.
func isSecureKey(name []byte) bool { return bytes.EqualFold(name, []byte("secureKey")) }
