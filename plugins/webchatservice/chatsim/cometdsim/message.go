package cometdsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The meta channels (wire-gms D.2).
const (
	metaHandshake   = "/meta/handshake"
	metaConnect     = "/meta/connect"
	metaSubscribe   = "/meta/subscribe"
	metaUnsubscribe = "/meta/unsubscribe"
	metaDisconnect  = "/meta/disconnect"
)

var (
	errNotJSON   = errors.New("cometdsim: not JSON")
	errNotBayeux = errors.New("cometdsim: not Bayeux messages")
)

// bayeuxMessage is a message of a client. Fields that nobody asks for are
// dropped.
type bayeuxMessage struct {
	Channel         string          `json:"channel,omitempty"`
	ClientID        string          `json:"clientId,omitempty"`
	ID              json.RawMessage `json:"id,omitempty"` // a scalar, echoed as it came
	Version         string          `json:"version,omitempty"`
	ConnectionTypes []string        `json:"supportedConnectionTypes,omitempty"`
	Subscription    json.RawMessage `json:"subscription,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
	Advice          *clientAdvice   `json:"advice,omitempty"`
	Ext             *clientExt      `json:"ext,omitempty"`
}

// clientAdvice is what a client may ask for with a connect.
type clientAdvice struct {
	Timeout *float64 `json:"timeout,omitempty"` // ms
}

// clientExt is what this server understands of ext: ack is true in a
// handshake and a number in a connect (wire-gms D.8).
type clientExt struct {
	Ack json.RawMessage `json:"ack,omitempty"`
}

// parseBayeux reads what a client sent: an array of messages, or one message
// (wire-gms D.1). It returns errNotJSON, or errNotBayeux for JSON that is
// something else.
func parseBayeux(body []byte) ([]bayeuxMessage, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errNotJSON
	}
	body = bytes.TrimSpace(body)
	var list []json.RawMessage
	switch body[0] {
	case '{':
		list = []json.RawMessage{body}
	case '[':
		if json.Unmarshal(body, &list) != nil {
			return nil, errNotBayeux
		}
	default:
		return nil, errNotBayeux
	}
	messages := make([]bayeuxMessage, len(list))
	for i, raw := range list {
		if err := messages[i].parse(raw); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func (m *bayeuxMessage) parse(raw json.RawMessage) error {
	fields, ok := objectOf(raw)
	if !ok {
		return errNotBayeux
	}
	// Names are compared exactly, which decoding into a struct does not do.
	for name, into := range map[string]any{
		"channel": &m.Channel, "clientId": &m.ClientID, "version": &m.Version, "supportedConnectionTypes": &m.ConnectionTypes,
	} {
		if v, ok := fields[name]; ok && json.Unmarshal(v, into) != nil {
			return errNotBayeux
		}
	}
	m.ID, m.Subscription, m.Data = fields["id"], fields["subscription"], fields["data"]
	if len(m.ID) > 0 && (m.ID[0] == '{' || m.ID[0] == '[') {
		return errNotBayeux
	}
	if v, ok := fields["advice"]; ok {
		advice, ok := objectOf(v)
		if !ok {
			return errNotBayeux
		}
		m.Advice = &clientAdvice{}
		if v, ok := advice["timeout"]; ok && json.Unmarshal(v, &m.Advice.Timeout) != nil {
			return errNotBayeux
		}
	}
	if v, ok := fields["ext"]; ok {
		ext, ok := objectOf(v)
		if !ok {
			return errNotBayeux
		}
		m.Ext = &clientExt{Ack: ext["ack"]}
	}
	return nil
}

// objectOf takes a JSON object apart.
func objectOf(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, false
	}
	return fields, true
}

// subscriptions returns the channels of a subscribe, or the error of its
// reply.
func (m *bayeuxMessage) subscriptions() ([]string, string) {
	var one string
	list := []string{}
	switch {
	case len(m.Subscription) == 0 || string(m.Subscription) == "null":
		return nil, "403::subscription_missing"
	case json.Unmarshal(m.Subscription, &one) == nil:
		list = append(list, one)
	case json.Unmarshal(m.Subscription, &list) != nil || len(list) == 0:
		return nil, "403::subscription_invalid"
	}
	for _, channel := range list {
		if !validChannel(channel) {
			return nil, "403::subscription_invalid"
		}
	}
	return list, ""
}

// validChannel reports whether a name can be a channel's, or a pattern of channels: segments of letters, digits and some marks, and
// "*" or "**" as the last one (Bayeux 1.0, 2.3).
func validChannel(name string) bool {
	segments := strings.Split(name, "/")
	if len(segments) < 2 || segments[0] != "" {
		return false
	}
	for i, segment := range segments[1:] {
		if last := i == len(segments)-2; last && (segment == "*" || segment == "**") {
			continue
		}
		ok := segment != "" && strings.IndexFunc(segment, func(r rune) bool {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			return !letter && !strings.ContainsRune("-_!~()$@. ", r)
		}) < 0
		if !ok {
			return false
		}
	}
	return true
}

// refusesSubscription returns the error with which a CometD server refuses a subscription to a channel by its usual security
// policy, "" if it does not: nobody listens on meta channels.
func refusesSubscription(channel string) string {
	switch channel {
	case metaHandshake, metaConnect, metaSubscribe, metaUnsubscribe, metaDisconnect:
		return "403:denied_by_security_policy:subscribe_denied"
	}
	if strings.HasPrefix(channel, "/meta/") {
		return "403:denied_by_security_policy:create_denied"
	}
	return ""
}

// bayeuxReply is the server's answer to one message.
type bayeuxReply struct {
	ID              json.RawMessage `json:"id,omitempty"`
	Channel         string          `json:"channel,omitempty"`
	Successful      bool            `json:"successful"`
	Error           string          `json:"error,omitempty"`
	ClientID        string          `json:"clientId,omitempty"`
	Version         string          `json:"version,omitempty"`
	MinimumVersion  string          `json:"minimumVersion,omitempty"`
	ConnectionTypes []string        `json:"supportedConnectionTypes,omitempty"`
	Subscription    json.RawMessage `json:"subscription,omitempty"`
	Advice          json.RawMessage `json:"advice,omitempty"`
	Ext             json.RawMessage `json:"ext,omitempty"`
}

func (m *bayeuxMessage) reply() *bayeuxReply {
	return &bayeuxReply{ID: m.ID, Channel: m.Channel, Successful: true}
}

func (r *bayeuxReply) fail(text string) *bayeuxReply {
	r.Successful, r.Error = false, text
	return r
}

// unknown says that the session is not known; only connect and handshake
// replies carry advice with it (wire-gms D.2).
func (r *bayeuxReply) unknown() *bayeuxReply {
	if r.Channel == metaConnect {
		r.Advice = json.RawMessage(`{"reconnect":"handshake","interval":0}`)
	}
	return r.fail("402::Unknown client")
}

func (r *bayeuxReply) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil { // advice that a fault made up
		panic("cometdsim: reply does not encode: " + err.Error())
	}
	return b
}

// batch makes one transport unit of encoded messages.
func batch(messages ...[]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(messages, []byte{','})...), ']')
}
