package gmsrest

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Values of an answer's statusCode (wire-gms A.5).
const (
	statusOK    = 0
	statusRetry = 1
	statusError = 2
)

// answer is what one response object said (wire-gms A.3).
type answer struct {
	statusCode int
	ended      bool
	endedTold  bool // chatEnded was there
	session    chat.Session
	messages   []chat.Message // in the order of their indices
	errors     []chat.ServerError
	idle       json.RawMessage
	raw        json.RawMessage // the object without its secrets
}

var (
	errEmpty     = errors.New("answer is empty")
	errHTML      = errors.New("answer is a web page (HTML), not JSON")
	errUTF8      = errors.New("answer is not valid UTF-8")
	errNotObject = errors.New("answer is JSON, but no response object")
	errNoStatus  = errors.New("answer has no statusCode")
)

// parse reads the body of a response. secrets are what the answer may contain and must not show. Without
// needStatus an answer may lack the statusCode, as error bodies do (wire-gms A.6). The answer shares
// no memory with body.
func parse(body []byte, needStatus bool, secrets ...chat.Secret) (answer, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	switch {
	case len(body) == 0:
		return answer{}, errEmpty
	case body[0] == '<':
		return answer{}, errHTML
	case !utf8.Valid(body): // encoding/json would replace it, and change what somebody wrote
		return answer{}, errUTF8
	case !json.Valid(body):
		var v json.RawMessage
		return answer{}, json.Unmarshal(body, &v) // says where
	}
	var a answer
	newKey := ""
	if !eachMember(body, func(name, value []byte) {
		if isSecureKey(name) {
			newKey = scalar(value)
		}
	}) {
		return answer{}, errNotObject
	}
	a.session.SecureKey = chat.NewSecret(newKey)
	a.raw = newRedactor(a.session.SecureKey, secrets...).envelope(body)
	status, lines := "", []byte(nil)
	eachMember(a.raw, func(name, value []byte) {
		switch string(name) {
		case "statusCode":
			status = scalar(value)
		case "chatEnded":
			a.endedTold, a.ended = !isNull(value), scalar(value) == "true"
		case "chatId":
			a.session.ID = scalar(value)
		case "alias":
			a.session.Alias = scalar(value)
		case "userId":
			a.session.UserID = scalar(value)
		case "messages":
			lines = value
		case "errors":
			a.errors = parseErrors(value)
		case "idleTimerExpire":
			if !isNull(value) {
				a.idle = value
			}
		}
	})
	if n, err := strconv.Atoi(status); err == nil {
		a.statusCode = n
	} else if needStatus || status != "" {
		return answer{}, errNoStatus
	} else if len(a.errors) > 0 {
		a.statusCode = statusError
	}
	if lines != nil && !isNull(lines) && !eachElement(lines, func(raw []byte) {
		if raw[0] == '{' { // what is no object is no line
			a.messages = append(a.messages, parseLine(raw))
		}
	}) {
		return answer{}, errNotObject
	}
	sortLines(a.messages)
	return a, nil
}

// parseErrors reads the list under errors. What is no object in it is kept as text.
func parseErrors(list []byte) (errs []chat.ServerError) {
	add := func(raw []byte) {
		var e chat.ServerError
		if !eachMember(raw, func(name, value []byte) {
			switch string(name) {
			case "code":
				e.Code = scalar(value)
			case "advice":
				e.Advice = scalar(value)
			}
		}) {
			e.Advice = scalar(raw)
		}
		if e.Code != "" || e.Advice != "" {
			errs = append(errs, e)
		}
	}
	if !eachElement(list, add) {
		add(list)
	}
	return errs
}

// parseLine reads one line (wire-gms A.4). A member of the wrong type costs that member alone.
func parseLine(raw []byte) chat.Message {
	m := chat.Message{Raw: raw}
	eachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "from":
			eachMember(value, func(name, value []byte) {
				switch string(name) {
				case "nickname":
					m.From.Name = scalar(value)
				case "participantId":
					m.From.ID = scalar(value)
				case "type":
					m.From.Role = chat.Role(word(value))
				}
			})
		case "index":
			if n, ok := integer(scalar(value)); ok && n > 0 {
				m.Index, m.HasIndex = n, true
			}
		case "type":
			m.Kind = chat.MessageKind(word(value))
		case "utcTime":
			if ms, ok := integer(scalar(value)); ok {
				m.Time = time.UnixMilli(ms).UTC()
			}
		case "text":
			m.Text = scalar(value)
		case "messageType":
			m.Label = word(value)
		case "userData":
			m.UserData = members(value)
		case "eventAttributes":
			if !isNull(value) {
				m.Attributes = value
			}
		}
	})
	if m.Attributes != nil {
		text, bot := readAttributes(m.Attributes)
		if text != nil {
			m.Text = *text
		}
		if bot {
			m.From.Role = chat.RoleBot
		}
	}
	m.Own = m.From.Role == chat.RoleClient
	if m.Own && m.Attributes != nil {
		m.ClientID = scalar(dig(m.Attributes, markGroup, markName))
	}
	if m.Kind == chat.KindFileUploaded || m.Kind == chat.KindFileDeleted {
		m.File = &chat.File{ID: member(m.UserData, "file-id"), Name: member(m.UserData, "file-name"), Size: -1}
		if n, ok := integer(member(m.UserData, "file-size")); ok && n >= 0 {
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
	return scalar(value)
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

// Where a line's eventAttributes carry its ClientID. Servers give attributes back as they came (wire-gms
// A.4); nobody else has a use for these.
const (
	markGroup = "cxbus"
	markName  = "client-id"
)

// readAttributes returns the text of structured content, if there is one, and whether the sender has
// the style of a bot (wire-gms A.4; webchatservice 4.4).
func readAttributes(attributes []byte) (text *string, bot bool) {
	style := dig(attributes, "GCTI_SYSTEM", "party-info", "style")
	bot = strings.Trim(scalar(style), `"`) == "BOT" // it may be JSON in a string
	if t := dig(attributes, "structured-content", "genesys-chat", "content", "text"); len(t) > 0 && t[0] == '"' {
		s := unquote(t)
		text = &s
	}
	return text, bot
}

// dig returns a member of a member of a value, or nil. Objects on the way may be wrapped in strings.
func dig(value []byte, path ...string) []byte {
	for _, step := range path {
		if len(value) > 0 && value[0] == '"' {
			inner := []byte(unquote(value))
			if !json.Valid(inner) {
				return nil
			}
			value = inner
		}
		var found []byte
		eachMember(value, func(name, v []byte) {
			if string(name) == step {
				found = v
			}
		})
		value = found
	}
	return value
}

// sortLines puts lines into the order of their indices; one without an index stays behind the one
// before it (wire-gms A.4: do not rely on the order of the array).
func sortLines(lines []chat.Message) {
	sorted, last := true, int64(0)
	for i := range lines {
		if lines[i].HasIndex {
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
		if l.HasIndex {
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

// integer reads a whole number, also one written as 1.7e12 or 12.0.
func integer(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1<<53 && f < 1<<53 && f == float64(int64(f)) {
		return int64(f), true
	}
	return 0, false
}
