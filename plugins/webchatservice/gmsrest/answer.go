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

// envelope is the response object of every operation (wire-gms A.3). Scalars are loose: servers and
// the proxies in front of them send numbers as text and the reverse (wire-gms Uncertain 2).
type envelope struct {
	StatusCode      *loose            `json:"statusCode"`
	ChatEnded       *loose            `json:"chatEnded"`
	ChatID          loose             `json:"chatId"`
	Alias           loose             `json:"alias"`
	UserID          loose             `json:"userId"`
	SecureKey       json.RawMessage   `json:"secureKey"`
	Messages        []json.RawMessage `json:"messages"`
	Errors          serverErrors      `json:"errors"`
	IdleTimerExpire json.RawMessage   `json:"idleTimerExpire"`
}

// line is one entry of messages (wire-gms A.4).
type line struct {
	From struct {
		Nickname      loose `json:"nickname"`
		ParticipantID loose `json:"participantId"`
		Type          loose `json:"type"`
	} `json:"from"`
	Index           loose           `json:"index"`
	Type            loose           `json:"type"`
	UTCTime         loose           `json:"utcTime"`
	Text            loose           `json:"text"`
	MessageType     loose           `json:"messageType"`
	UserData        object          `json:"userData"`
	EventAttributes json.RawMessage `json:"eventAttributes"`
}

// answer is what one response said.
type answer struct {
	statusCode int
	ended      bool
	endedTold  bool // chatEnded was there
	session    chat.Session
	messages   []chat.Message
	errors     []chat.ServerError
	idle       json.RawMessage
	raw        json.RawMessage // the envelope without its secrets
}

var (
	errEmpty     = errors.New("answer is empty")
	errHTML      = errors.New("answer is a web page (HTML), not JSON")
	errUTF8      = errors.New("answer is not valid UTF-8")
	errNotObject = errors.New("answer is JSON, but no response object")
	errNoStatus  = errors.New("answer has no statusCode")
)

// parse reads the body of a response. key is the session's secret, which the answer need not repeat
// to contain it. Without needStatus an answer may lack the statusCode, as error bodies do (wire-gms A.6).
// The answer shares no memory with body.
func parse(body []byte, key chat.Secret, needStatus bool) (answer, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return answer{}, errEmpty
	case trimmed[0] == '<':
		return answer{}, errHTML
	case !utf8.Valid(body): // encoding/json would replace it, and change what somebody wrote
		return answer{}, errUTF8
	}
	var env envelope
	if err := json.Unmarshal(body, &env); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return answer{}, errNotObject
		}
		return answer{}, err
	}
	if trimmed[0] != '{' { // null
		return answer{}, errNotObject
	}
	var a answer
	switch {
	case env.StatusCode != nil:
		n, err := strconv.Atoi(string(*env.StatusCode))
		if err != nil {
			return answer{}, errNoStatus
		}
		a.statusCode = n
	case needStatus:
		return answer{}, errNoStatus
	case len(env.Errors) > 0:
		a.statusCode = statusError
	}
	if env.ChatEnded != nil && *env.ChatEnded != "" {
		a.endedTold, a.ended = true, *env.ChatEnded == "true"
	}
	var newKey loose
	if len(env.SecureKey) > 0 {
		_ = newKey.UnmarshalJSON(env.SecureKey)
	}
	a.session = chat.Session{
		ID: string(env.ChatID), UserID: string(env.UserID), Alias: string(env.Alias), SecureKey: chat.NewSecret(string(newKey)),
	}
	if t := bytes.TrimSpace(env.IdleTimerExpire); len(t) > 0 && !bytes.Equal(t, []byte("null")) {
		a.idle = env.IdleTimerExpire
	}
	hide := newRedactor(string(newKey), key.Reveal())
	a.raw = hide.envelope(body)
	for _, e := range env.Errors {
		a.errors = append(a.errors, chat.ServerError{Code: hide.text(e.Code), Advice: hide.text(e.Advice)})
	}
	for _, raw := range env.Messages {
		if m, ok := parseLine(hide.json(raw)); ok {
			a.messages = append(a.messages, m)
		}
	}
	sortLines(a.messages)
	return a, nil
}

// parseLine reads one line. What is no object is no line.
func parseLine(raw json.RawMessage) (chat.Message, bool) {
	var l line
	if t := bytes.TrimSpace(raw); len(t) == 0 || t[0] != '{' {
		return chat.Message{}, false
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		// Only "from" can have a wrong type here; everything else is loose. The rest was decoded.
		var wrongType *json.UnmarshalTypeError
		if !errors.As(err, &wrongType) {
			return chat.Message{}, false
		}
	}
	m := chat.Message{
		Kind:     chat.MessageKind(l.Type),
		From:     chat.Party{ID: string(l.From.ParticipantID), Role: chat.Role(l.From.Type), Name: string(l.From.Nickname)},
		Text:     string(l.Text),
		Label:    string(l.MessageType),
		UserData: l.UserData,
		Raw:      raw,
	}
	if n, ok := integer(string(l.Index)); ok && n > 0 {
		m.Index, m.HasIndex = n, true
	}
	if ms, ok := integer(string(l.UTCTime)); ok {
		m.Time = time.UnixMilli(ms).UTC()
	}
	if t := bytes.TrimSpace(l.EventAttributes); len(t) > 0 && !bytes.Equal(t, []byte("null")) {
		m.Attributes = l.EventAttributes
		text, bot := readAttributes(l.EventAttributes)
		if text != nil {
			m.Text = *text
		}
		if bot {
			m.From.Role = chat.RoleBot
		}
	}
	m.Own = m.From.Role == chat.RoleClient
	if m.Kind == chat.KindFileUploaded || m.Kind == chat.KindFileDeleted {
		m.File = &chat.File{ID: l.UserData.text("file-id"), Name: l.UserData.text("file-name"), Size: -1}
		if n, ok := integer(l.UserData.text("file-size")); ok && n >= 0 {
			m.File.Size = n
		}
	}
	return m, true
}

// readAttributes returns the text of structured content, if there is one, and whether the sender has
// the style of a bot (wire-gms A.4; webchatservice 4.4).
func readAttributes(raw json.RawMessage) (text *string, bot bool) {
	attributes := dig(raw)
	if style := dig(dig(dig(attributes["GCTI_SYSTEM"])["party-info"])["style"], "value")["value"]; style != nil {
		var s loose
		_ = s.UnmarshalJSON(style)
		bot = strings.Trim(string(s), `"`) == "BOT"
	}
	content := dig(dig(dig(attributes["structured-content"])["genesys-chat"])["content"])
	if t := bytes.TrimSpace(content["text"]); len(t) > 0 && t[0] == '"' {
		var s string
		if json.Unmarshal(t, &s) == nil {
			text = &s
		}
	}
	return text, bot
}

// dig returns the members of an object, also of one that is wrapped in a JSON string. With scalar, what
// is no object is returned under that name.
func dig(raw json.RawMessage, scalar ...string) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) == nil {
		return members
	}
	var wrapped string
	if json.Unmarshal(raw, &wrapped) == nil && json.Unmarshal([]byte(wrapped), &members) == nil {
		return members
	}
	if len(scalar) > 0 && len(raw) > 0 {
		return map[string]json.RawMessage{scalar[0]: raw}
	}
	return nil
}

// sortLines puts lines into the order of their indices; one without an index stays behind the one
// before it (wire-gms A.4: do not rely on the order of the array).
func sortLines(lines []chat.Message) {
	sorted, last := true, int64(0)
	for _, l := range lines {
		if l.HasIndex {
			sorted = sorted && last <= l.Index
			last = l.Index
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
	if f, err := strconv.ParseFloat(s, 64); err == nil && f == float64(int64(f)) && f > -1<<53 && f < 1<<53 {
		return int64(f), true
	}
	return 0, false
}

// loose is a scalar, whatever its JSON type: a string's text, else the literal; null is "".
type loose string

// UnmarshalJSON implements [json.Unmarshaler]. It accepts every value.
func (l *loose) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) > 0 && data[0] == '"':
		return json.Unmarshal(data, (*string)(l))
	case string(data) == "null":
		*l = ""
	default:
		*l = loose(data)
	}
	return nil
}

// object is a JSON object; any other value is no object, and no error.
type object map[string]any

// UnmarshalJSON implements [json.Unmarshaler]. It accepts every value.
func (o *object) UnmarshalJSON(data []byte) error {
	*o = nil
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // a number attached by somebody keeps its digits
	return dec.Decode((*map[string]any)(o))
}

// text returns a member as text.
func (o object) text(name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// serverErrors is the list under errors. Entries that are no objects are kept as text.
type serverErrors []chat.ServerError

// UnmarshalJSON implements [json.Unmarshaler]. It accepts every value.
func (s *serverErrors) UnmarshalJSON(data []byte) error {
	*s = nil
	var entries []json.RawMessage
	if json.Unmarshal(data, &entries) != nil {
		if t := bytes.TrimSpace(data); len(t) == 0 || t[0] != '{' && t[0] != '"' {
			return nil
		}
		entries = []json.RawMessage{data}
	}
	for _, raw := range entries {
		var e struct {
			Code   loose `json:"code"`
			Advice loose `json:"advice"`
		}
		if json.Unmarshal(raw, &e) != nil {
			_ = e.Advice.UnmarshalJSON(raw)
		}
		if e.Code != "" || e.Advice != "" {
			*s = append(*s, chat.ServerError{Code: string(e.Code), Advice: string(e.Advice)})
		}
	}
	return nil
}
