package gmscometd

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// The meta channels (wire-gms D.2).
const (
	metaHandshake  = "/meta/handshake"
	metaConnect    = "/meta/connect"
	metaDisconnect = "/meta/disconnect"
)

// The carriers' names (wire-gms D.2).
const (
	typeWebsocket = "websocket"
	typeLongPoll  = "long-polling"
)

// message is one message of a server (wire-gms D.1). Its slices are parts of what was parsed.
type message struct {
	channel  string
	id       string
	clientID string
	reply    bool // there is a successful
	success  bool
	err      string // code:args:text
	data     []byte // nil: none
	advice   []byte // nil: none
	ack      []byte // ext.ack; nil: none
	types    []string
}

// code is the leading number of an error, "" if there is none.
func (m *message) code() string {
	code, _, _ := strings.Cut(m.err, ":")
	if _, err := strconv.Atoi(code); err != nil {
		return ""
	}
	return code
}

var errNotArray = errors.New("answer is JSON, but no array of Bayeux messages")

// parseUnit reads what a carrier brought: an array of messages. An element that is no object is no message; a member
// of the wrong type costs that member alone. The messages are appended to all.
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

// text is a string's text; anything else has none.
func text(value []byte) string {
	if len(value) == 0 || value[0] != '"' {
		return ""
	}
	return wirejson.Scalar(value)
}

// Values of [advice.reconnect].
const (
	adviceRetry     = "retry"
	adviceHandshake = "handshake"
	adviceNone      = "none"
)

// Limits of what a server may advise: what says more is cut.
const (
	maxAdvisedInterval = time.Hour
	maxAdvisedTimeout  = 10 * time.Minute
)

// advice is what the server has advised so far (wire-gms D.5).
type advice struct {
	reconnect   string // as of the last message that had an advice; "" when that did not say
	interval    time.Duration
	timeout     time.Duration
	maxInterval time.Duration
	multiple    bool
}

// merge takes in a new advice. What is of the wrong type was not said; hosts are ignored.
func (a *advice) merge(raw []byte) {
	a.reconnect = ""
	wirejson.EachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "reconnect":
			switch s := text(value); s {
			case adviceRetry, adviceHandshake, adviceNone:
				a.reconnect = s
			}
		case "interval":
			duration(value, &a.interval, maxAdvisedInterval)
		case "timeout":
			duration(value, &a.timeout, maxAdvisedTimeout)
		case "maxInterval":
			duration(value, &a.maxInterval, maxAdvisedInterval)
		case "multiple-clients":
			a.multiple = wirejson.Scalar(value) == "true"
		}
	})
}

// duration reads milliseconds.
func duration(value []byte, into *time.Duration, most time.Duration) {
	f, err := strconv.ParseFloat(wirejson.Scalar(value), 64)
	if err != nil || f != f {
		return
	}
	switch {
	case f < 0:
		*into = -1
	case f >= float64(most/time.Millisecond):
		*into = most
	default:
		*into = time.Duration(f * float64(time.Millisecond))
	}
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

// encode makes one transport unit. It fails only for Data that is not JSON.
func encode(messages ...outgoing) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(messages); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
