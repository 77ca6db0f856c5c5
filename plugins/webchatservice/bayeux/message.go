package bayeux

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// The meta channels (wire-gms D.2).
const (
	metaHandshake  = "/meta/handshake"
	metaConnect    = "/meta/connect"
	metaDisconnect = "/meta/disconnect"
)

// The names of the carriers (wire-gms D.2).
const (
	typeWebsocket = "websocket"
	typeLongPoll  = "long-polling"
)

// message is one message of a server (wire-gms D.1). Its slices are parts of what was parsed.
type message struct {
	channel  string
	id       string
	clientID string
	reply    bool // the message has a member successful
	success  bool
	err      string // code:args:text
	data     []byte // nil: none
	advice   []byte // nil: none
	ack      []byte // ext.ack; nil: none
	types    []string
}

// errorCode returns the number that an error of Bayeux begins with, "" if it has none.
func errorCode(text string) string {
	code, _, _ := strings.Cut(text, ":")
	if _, err := strconv.Atoi(code); err != nil {
		return ""
	}
	return code
}

func (m *message) code() string { return errorCode(m.err) }

// keep returns a copy that shares no memory with what was read, without its data.
func (m *message) keep() *message {
	k := *m
	k.data, k.advice, k.ack = nil, slices.Clone(m.advice), slices.Clone(m.ack)
	return &k
}

var errNotArray = errors.New("answer is JSON, but no array of Bayeux messages")

// parseUnit reads what a carrier brought: an array of messages. What is no object in it is no message. A member of the
// wrong type counts as missing; the rest of its message is read. The messages are appended to all.
func parseUnit(body []byte, all []message) ([]message, error) {
	body, err := wirejson.Value(body)
	if err != nil {
		return nil, err
	}
	if !wirejson.EachElement(body, func(raw []byte) {
		all = append(all, message{})
		if !wirejson.EachMember(raw, all[len(all)-1].member) {
			all = all[:len(all)-1]
		}
	}) {
		return nil, errNotArray
	}
	return all, nil
}

// member takes in one member of the message.
func (m *message) member(name, value []byte) {
	switch string(name) {
	case "channel":
		m.channel = text(value)
	case "id":
		m.id = wirejson.Scalar(value)
	case "clientId":
		m.clientID = text(value)
	case "successful":
		if !wirejson.IsNull(value) {
			m.reply, m.success = true, wirejson.Scalar(value) == "true"
		}
	case "error":
		m.err = text(value)
	case "data":
		if !wirejson.IsNull(value) {
			m.data = value
		}
	case "advice":
		if value[0] == '{' {
			m.advice = value
		}
	case "ext":
		m.ack = wirejson.Dig(value, "ack")
	case "supportedConnectionTypes":
		wirejson.EachElement(value, func(v []byte) { m.types = append(m.types, text(v)) })
	}
}

// text returns the text of a string. Any other value has none.
func text(value []byte) string {
	if len(value) == 0 || value[0] != '"' {
		return ""
	}
	return wirejson.Scalar(value)
}

// outgoing is a message to the server.
type outgoing struct {
	ID             string          `json:"id"`
	Channel        string          `json:"channel"`
	ClientID       string          `json:"clientId,omitempty"`
	Version        string          `json:"version,omitempty"`
	MinimumVersion string          `json:"minimumVersion,omitempty"`
	Types          []string        `json:"supportedConnectionTypes,omitempty"`
	ConnectionType string          `json:"connectionType,omitempty"`
	Advice         json.RawMessage `json:"advice,omitempty"`
	Ext            json.RawMessage `json:"ext,omitempty"`
	Data           json.RawMessage `json:"data,omitempty"`
}

// encode makes one unit of messages. It fails only for Data that is not JSON.
func encode(messages ...outgoing) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(messages); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
