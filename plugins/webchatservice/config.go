package webchatservice

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Config is the webchat section of a configuration, with the vendor's names (webchatservice 2.1 to 2.9), as plain data,
// so that an existing object can be pasted as YAML or JSON. Times are numbers of milliseconds. The service's own
// options are fields; those of the wires are in Wire.
//
// The zero value of a field means its default, which [DefaultConfig] shows; a nil *bool too. Files
// are read over DefaultConfig, and there a number out of its range is an error, also 0.
//
// The call-backs of the browser (async.getSessionData and the like) have no place in data: a
// [Store] does their work.
type Config struct {
	EnableCustomHeader bool           `json:"enableCustomHeader,omitempty" doc:"send the header Authorization that the program gives (main.header in the browser)"`
	UserData           map[string]any `json:"userData,omitempty" doc:"attached to every session; startChat and updateUserData merge over it"`
	MaxMessageLength   int            `json:"maxMessageLength,omitempty" unit:"characters" min:"0" doc:"longer messages are rejected; 0: no limit"`
	SleepEnabled       bool           `json:"sleepEnabled,omitempty" doc:"let the sleep command slow polling down"`
	PollExceptionLimit int            `json:"pollExceptionLimit,omitempty" min:"1" max:"1000" doc:"consecutive answers with statusCode 1 that are tolerated; the next one publishes chatServerWentOffline"`
	RestoreTimeout     int            `json:"restoreTimeout,omitempty" unit:"ms" min:"1" doc:"a stored session that was silent for longer is not restored"`

	Network         Network  `json:"network,omitzero"`
	Masks           []string `json:"masks,omitempty" doc:"regular expressions of Go; what they match in messages is hidden in all that is published, given out and logged, and not in what is sent"`
	InactivityLimit int      `json:"inactivityLimit,omitempty" unit:"ms" min:"0" doc:"end a chat in which neither side has said anything for so long; 0: the server alone decides"`

	CometD    CometD    `json:"cometD,omitzero"`
	Async     Async     `json:"async,omitzero"`
	Transport Transport `json:"transport,omitzero"`

	Interface

	// Wire has the options of the wires. Of those the one that is selected has (cometD.enabled, transport.type) each must
	// be right; others that the vendor has, or another factory at hand, are named in a log record and have no effect;
	// everything else is an error.
	Wire Wire `json:"-"`

	files *schema // what a file may hold; nil: see Options
}

// CometD is the service's part of the group cometD (webchatservice 2.2).
type CometD struct {
	Enabled bool `json:"enabled,omitempty" doc:"use CometD instead of REST"`
}

// Async is the group async (webchatservice 2.3).
type Async struct {
	Enabled                bool   `json:"enabled,omitempty" doc:"sessions that outlive the program and the agents, unless startChat asks for others"`
	MaxMessagePageSize     int    `json:"maxMessagePageSize,omitempty" unit:"messages" min:"1" max:"10000" doc:"size of a page of history"`
	NewMessageRestoreState string `json:"newMessageRestoreState,omitempty" oneof:"full,minimized" doc:"for the user interface"`
}

// Transport is the service's part of the group transport (webchatservice 2.4).
type Transport struct {
	Type            string         `json:"type,omitempty" doc:"empty for GMS, else pureengage-v3-rest, purecloud-v2-sockets, pureconnect-v4-rest or pureconnect-v4-chatbots"`
	InteractionData map[string]any `json:"interactionData,omitempty" doc:"routing and journey data"`
	SleepEnabled    bool           `json:"sleepEnabled,omitempty" doc:"let the sleep command pause polling"`
}

// masks compiles the option of that name.
func (c *Config) masks() ([]*regexp.Regexp, error) {
	var list []*regexp.Regexp
	for i, pattern := range c.Masks {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		list = append(list, re)
	}
	return list, nil
}

// Key is a secret option: a text or a number that is never shown. Reveal gives the text; every way of
// printing it, JSON too, shows [secret].
type Key struct{ chat.Secret }

// NewKey hides text.
func NewKey(text string) Key { return Key{chat.NewSecret(text)} }

// UnmarshalJSON takes a text, a number or null.
func (k *Key) UnmarshalJSON(b []byte) error {
	if s := string(b); s == "null" {
		*k = Key{}
		return nil
	} else if _, err := strconv.ParseFloat(s, 64); err == nil {
		*k = NewKey(s)
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return errors.New("want text or a number")
	}
	*k = NewKey(s)
	return nil
}

// DefaultConfig returns the default of every option of the service. The caller owns it. What is read into it from a
// file and the environment (package busconfig) may have the options of these factories; without any, those of the
// vendor's transports, in files alone, and their values are not looked at.
func DefaultConfig(factories ...chat.Factory) Config {
	c := Config{
		PollExceptionLimit: 5,
		RestoreTimeout:     60000,
		Async:              Async{MaxMessagePageSize: 20, NewMessageRestoreState: "full"},
		Interface:          defaultInterface(),
	}
	if len(factories) > 0 {
		c.files = newSchema(factories)
	}
	return c
}

func ptr[T any](v T) *T { return &v }

// withDefaults returns c with the defaults in the places of zero values. Maps stay shared: nobody
// writes to them.
func (c Config) withDefaults() Config {
	v, defaults := reflect.ValueOf(&c).Elem(), reflect.ValueOf(DefaultConfig())
	for _, o := range serviceOptions() {
		if f := v.FieldByIndex(o.Field.Index); f.IsZero() {
			f.Set(defaults.FieldByIndex(o.Field.Index))
		}
	}
	return c
}

// serviceOptions returns the options that are fields of Config. Nobody changes them.
var serviceOptions = sync.OnceValue(func() []chat.Option { return chat.OptionsOf(reflect.TypeFor[Config]()) })

// Validate returns nil, or an error that matches [ErrInvalidConfig] and names every option that is unknown, of the
// wrong type or out of range, each with its full path (webchat.pollRateMin); one of transport.type, or of a selection
// that none of the factories matches, matches [ErrInvalidTransport]. Zero values are judged as what they stand for.
// Without factories, the options in Wire are judged by their names alone.
func (c Config) Validate(factories ...chat.Factory) error {
	_, err := c.judge(factories)
	return err
}

// judge is Validate. It also returns what c says of the wire.
func (c Config) judge(factories []chat.Factory) (wiring, error) {
	c = c.withDefaults()
	var p problems
	for _, o := range serviceOptions() {
		if err := checkRange(o, reflect.ValueOf(c).FieldByIndex(o.Field.Index)); err != nil {
			p.add(o.Path, err)
		}
	}
	if f := c.TimeFormat; f != 0 && f != 12 && f != 24 {
		p.add("timeFormat", fmt.Errorf("%d is out of range, want 12 or 24", f))
	}
	if _, err := c.masks(); err != nil {
		p.add("masks", err)
	}
	w, transport := c.wiring(factories, &p)
	if len(p.list) == 0 {
		return w, transport
	}
	if transport != nil {
		p.list = append(p.list, transport)
	}
	return w, failure(ErrInvalidConfig, "", errors.Join(p.list...), "")
}

// problems gathers what is wrong with a configuration.
type problems struct{ list []error }

func (p *problems) add(path string, err error) {
	p.list = append(p.list, fmt.Errorf("webchat.%s: %w", path, err))
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// merged returns a new map with the entries of all, later ones winning; nil when there are none.
func merged(all ...map[string]any) map[string]any {
	var out map[string]any
	for _, m := range all {
		if len(m) > 0 && out == nil {
			out = make(map[string]any, len(m))
		}
		maps.Copy(out, m)
	}
	return out
}
