package webchatservice

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Config is the webchat section of a configuration: every option that the vendor has, under its own
// name (webchatservice 2.1 to 2.9), as plain data, so that an existing object can be pasted as YAML
// or JSON. Times are numbers of milliseconds.
//
// The zero value of a field means its default, which [DefaultConfig] shows; a nil *bool too. Files
// are read over DefaultConfig, and there a number out of its range is an error, also 0.
//
// The call-backs of the browser (async.getSessionData and the like) have no place in data: a
// [Store] does their work. Options of other transports are taken and kept; a log record names those that are set
// and make no difference.
type Config struct {
	DataURL                string         `json:"dataURL,omitempty" doc:"root of the chat service, such as https://gms.example.net/genesys/2/chat/customer-support; required but for cometD and transports with options of their own"`
	ServerURL              string         `json:"serverURL,omitempty" doc:"used as it stands where dataURL is empty"`
	EnableURLTrailingSlash *bool          `json:"enableUrlTrailingSlash,omitempty" doc:"start a chat at <dataURL>/ instead of <dataURL>"`
	APIKey                 Key            `json:"apikey,omitzero" doc:"sent as header apikey"`
	Endpoint               string         `json:"endpoint,omitempty" doc:"sent with the start request"`
	EnableCustomHeader     bool           `json:"enableCustomHeader,omitempty" doc:"send the header Authorization that the program gives (main.header in the browser)"`
	XHRFields              XHRFields      `json:"xhrFields,omitzero"`
	AjaxTimeout            int            `json:"ajaxTimeout,omitempty" unit:"ms" min:"1" max:"600000" doc:"limit of every request"`
	FileUploadTimeout      int            `json:"fileUploadTimeout,omitempty" unit:"ms" min:"0" doc:"limit of requests that carry files; 0: none"`
	UserData               map[string]any `json:"userData,omitempty" doc:"attached to every session; startChat and updateUserData merge over it"`
	MaxMessageLength       int            `json:"maxMessageLength,omitempty" unit:"characters" min:"0" doc:"longer messages are rejected; 0: no limit"`

	PollRate           int     `json:"pollRate,omitempty" unit:"ms" min:"1000" max:"30000" doc:"time between polls where dynamicPolling is false, and right after waking"`
	DynamicPolling     *bool   `json:"dynamicPolling,omitempty" doc:"poll fast after activity, then slower and slower"`
	PollRateMin        int     `json:"pollRateMin,omitempty" unit:"ms" min:"250" max:"30000" doc:"shortest time between dynamic polls"`
	PollRateMax        int     `json:"pollRateMax,omitempty" unit:"ms" min:"250" max:"30000" doc:"longest time between dynamic polls; not below pollRateMin"`
	PollIntervalIdle   int     `json:"pollIntervalIdle_ms,omitempty" unit:"ms" min:"0" max:"30000" doc:"older name of pollRateMax; 0: not used"`
	PollRateMult       float64 `json:"pollRateMult,omitempty" min:"1.01" max:"100" doc:"growth of the time between dynamic polls"`
	PollRateSleep      int     `json:"pollRateSleep,omitempty" unit:"ms" min:"1000" max:"30000" doc:"time between polls while sleeping"`
	SleepEnabled       bool    `json:"sleepEnabled,omitempty" doc:"let the sleep command slow polling down"`
	PollExceptionLimit int     `json:"pollExceptionLimit,omitempty" min:"1" max:"1000" doc:"consecutive answers with statusCode 1 that are tolerated; the next one publishes chatServerWentOffline"`
	RestoreTimeout     int     `json:"restoreTimeout,omitempty" unit:"ms" min:"1" doc:"a stored session that was silent for longer is not restored"`

	Network         Network  `json:"network,omitzero"`
	MarkLines       bool     `json:"markLines,omitempty" doc:"send an id with each message, in eventAttributes, that tells it in the transcript; for servers and agents' desktops that let it pass"`
	Masks           []string `json:"masks,omitempty" doc:"regular expressions of Go; what they match in messages is hidden in all that is published, given out and logged, and not in what is sent"`
	InactivityLimit int      `json:"inactivityLimit,omitempty" unit:"ms" min:"0" doc:"end a chat in which neither side has said anything for so long; 0: the server alone decides"`

	CometD    CometD    `json:"cometD,omitzero"`
	Async     Async     `json:"async,omitzero"`
	Transport Transport `json:"transport,omitzero"`

	Interface
}

// XHRFields is the group xhrFields.
type XHRFields struct {
	WithCredentials bool `json:"withCredentials,omitempty" doc:"keep the server's cookies and send them back"`
}

// CometD is the group cometD (webchatservice 2.2).
type CometD struct {
	Enabled          bool   `json:"enabled,omitempty" doc:"use CometD instead of REST"`
	CometURL         string `json:"cometURL,omitempty" doc:"Bayeux end point, such as http://host:port/genesys/cometd"`
	Channel          string `json:"channel,omitempty" doc:"service channel of requests and answers"`
	APIURL           string `json:"apiURL,omitempty" doc:"where files go, such as http://host:port/genesys/2/chat-ntf"`
	WebsocketEnabled *bool  `json:"websocketEnabled,omitempty" doc:"false: long polling only"`
	LogLevel         string `json:"logLevel,omitempty" oneof:"debug,info,warn,error" doc:"of the browser's CometD library; has no effect here"`
}

// Async is the group async (webchatservice 2.3).
type Async struct {
	Enabled                bool   `json:"enabled,omitempty" doc:"sessions that outlive the program and the agents, unless startChat asks for others"`
	MaxMessagePageSize     int    `json:"maxMessagePageSize,omitempty" unit:"messages" min:"1" max:"10000" doc:"size of a page of history"`
	NewMessageRestoreState string `json:"newMessageRestoreState,omitempty" oneof:"full,minimized" doc:"for the user interface"`
}

// Transport is the group transport (webchatservice 2.4 to 2.8): the options of all transports but
// the default one, which is in use where type is empty.
type Transport struct {
	Type            string         `json:"type,omitempty" doc:"empty for GMS, else pureengage-v3-rest, purecloud-v2-sockets, pureconnect-v4-rest or pureconnect-v4-chatbots"`
	InteractionData map[string]any `json:"interactionData,omitempty" doc:"routing and journey data"`
	SleepEnabled    bool           `json:"sleepEnabled,omitempty" doc:"let the sleep command pause polling"`

	DataURL                        string         `json:"dataURL,omitempty" for:"pureengage-v3-rest,purecloud-v2-sockets" doc:"pureengage-v3-rest, purecloud-v2-sockets: sessions URL, or API host"`
	Headers                        map[string]Key `json:"headers,omitempty" for:"pureengage-v3-rest,pureconnect-v4-chatbots" doc:"pureengage-v3-rest, pureconnect-v4-chatbots: headers of every request, such as x-api-key"`
	Endpoint                       string         `json:"endpoint,omitempty" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: end point name"`
	ClientType                     string         `json:"clientType,omitempty" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: passed on at start"`
	Stream                         string         `json:"stream,omitempty" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: passed on at start"`
	PollTimeout                    int            `json:"pollTimeout,omitempty" unit:"ms" min:"0" max:"600000" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: pause between polls; 0: that of the transport"`
	PollIntervalMultiplier         float64        `json:"pollIntervalMultiplier,omitempty" min:"0" max:"100" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: back-off after failed polls; 0: that of the transport"`
	PollExceptionLimit             int            `json:"pollExceptionLimit,omitempty" min:"0" for:"pureengage-v3-rest" doc:"pureengage-v3-rest: has no effect in the vendor's service"`
	MaxMessagePageSize             int            `json:"maxMessagePageSize,omitempty" unit:"messages" min:"0" max:"10000" for:"pureengage-v3-rest,purecloud-v2-sockets" doc:"pureengage-v3-rest, purecloud-v2-sockets: size of a page of history; 0: that of the transport"`
	Async                          TransportAsync `json:"async,omitzero" for:"pureengage-v3-rest"`
	DeploymentKey                  string         `json:"deploymentKey,omitempty" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: deployment id"`
	OrganizationID                 string         `json:"organizationId,omitempty" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: organisation"`
	OrgGUID                        string         `json:"orgGuid,omitempty" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: organisation, where organizationId is empty"`
	SocketHeartbeatTrackerInterval int            `json:"socketHeartbeatTrackerInterval,omitempty" unit:"ms" min:"0" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: silence after which a socket is dead; 0: that of the transport"`
	SocketConnectionCloseTime      int            `json:"socketConnectionCloseTime,omitempty" unit:"ms" min:"0" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: delay before closing the socket; 0: that of the transport"`
	SocketReconnectInterval        int            `json:"socketReconnectInterval,omitempty" unit:"ms" min:"0" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: has no effect in the vendor's service"`
	Pagination                     *bool          `json:"pagination,omitempty" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: history page by page"`
	BotEventsEnabled               bool           `json:"botEventsEnabled,omitempty" for:"purecloud-v2-sockets" doc:"purecloud-v2-sockets: publish bot events for participants with role WORKFLOW"`
	Hosts                          []string       `json:"hosts,omitempty" for:"pureconnect-v4-rest,pureconnect-v4-chatbots" doc:"pureconnect-v4-rest, pureconnect-v4-chatbots: hosts tried in order"`
	UseHTTPS                       *bool          `json:"useHttps,omitempty" for:"pureconnect-v4-rest,pureconnect-v4-chatbots" doc:"pureconnect-v4-rest, pureconnect-v4-chatbots: false: http on port 8018"`
	ReverseProxyURL                string         `json:"reverseProxyUrl,omitempty" for:"pureconnect-v4-rest,pureconnect-v4-chatbots" doc:"pureconnect-v4-rest, pureconnect-v4-chatbots: requests go to <reverseProxyUrl>/<host>/..."`
	AdditionalAttrs                map[string]any `json:"additionalAttrs,omitempty" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: further attributes"`
	EnvironmentType                string         `json:"environmentType,omitempty" oneof:"production,test,dev" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: which relay of the bots"`
	ChatBotData                    string         `json:"chatBotData,omitempty" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: bot definition"`
	BotCustomData                  any            `json:"botCustomData,omitempty" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: for the bot"`
	UseCaaS                        bool           `json:"useCaaS,omitempty" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: use caasUrl"`
	CaaSURL                        string         `json:"caasUrl,omitempty" for:"pureconnect-v4-chatbots" doc:"pureconnect-v4-chatbots: address of the relay"`
	Markdown                       bool           `json:"markdown,omitempty" doc:"seen in public configurations; has no effect"`
}

// TransportAsync is the group transport.async.
type TransportAsync struct {
	Enabled bool `json:"enabled,omitempty" doc:"pureengage-v3-rest: sessions that outlive the program"`
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

// unused names the options of the group transport that are set, to something else than their default, and that the
// transport in use does not have.
func (c *Config) unused() []string {
	var names []string
	t, d := reflect.ValueOf(c.Transport), reflect.ValueOf(DefaultConfig().Transport)
	for i := range t.NumField() {
		f := t.Type().Field(i)
		of := strings.Split(f.Tag.Get("for"), ",")
		if of[0] == "" || c.Transport.Type != "" && slices.Contains(of, c.Transport.Type) {
			continue
		}
		if v := t.Field(i); !v.IsZero() && !reflect.DeepEqual(v.Interface(), d.Field(i).Interface()) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, "webchat.transport."+name)
		}
	}
	return names
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

// DefaultConfig returns the default of every option. The caller owns it.
func DefaultConfig() Config {
	return Config{
		EnableURLTrailingSlash: ptr(true),
		AjaxTimeout:            3000,
		PollRate:               3000,
		DynamicPolling:         ptr(true),
		PollRateMin:            500,
		PollRateMax:            3000,
		PollRateMult:           1.2,
		PollRateSleep:          30000,
		PollExceptionLimit:     5,
		RestoreTimeout:         60000,
		CometD: CometD{
			Channel:          "/service/chatV2/customer-support",
			WebsocketEnabled: ptr(true),
			LogLevel:         "info",
		},
		Async:     Async{MaxMessagePageSize: 20, NewMessageRestoreState: "full"},
		Transport: Transport{Pagination: ptr(true), UseHTTPS: ptr(true), EnvironmentType: "production"},
		Interface: defaultInterface(),
	}
}

func ptr[T any](v T) *T { return &v }

// withDefaults returns c with the defaults in the places of zero values. Maps stay shared: nobody
// writes to them.
func (c Config) withDefaults() Config {
	fillZero(reflect.ValueOf(&c).Elem(), reflect.ValueOf(DefaultConfig()))
	return c
}

func fillZero(v, defaults reflect.Value) {
	for i := range v.NumField() {
		f, d := v.Field(i), defaults.Field(i)
		switch {
		case !f.CanSet():
		case f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[Key]():
			fillZero(f, d)
		case f.IsZero():
			f.Set(d)
		}
	}
}

// Validate returns nil, or an error that matches [ErrInvalidConfig] and names every option that is out
// of range, each with its full path (webchat.pollRateMin); one of transport.type matches
// [ErrInvalidTransport]. Zero values are judged as what they stand for.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	fail := func(path, format string, args ...any) {
		problems = append(problems, fmt.Errorf("webchat."+path+": "+format, args...))
	}
	checkTags(reflect.ValueOf(c), "", fail)
	if c.PollRateMax < c.PollRateMin && c.PollIntervalIdle == 0 {
		fail("pollRateMax", "%d is out of range, want at least pollRateMin, which is %d", c.PollRateMax, c.PollRateMin)
	}
	if c.PollIntervalIdle != 0 && c.PollIntervalIdle < c.PollRateMin {
		fail("pollIntervalIdle_ms", "%d is out of range, want at least pollRateMin, which is %d", c.PollIntervalIdle, c.PollRateMin)
	}
	if f := c.TimeFormat; f != 0 && f != 12 && f != 24 {
		fail("timeFormat", "%d is out of range, want 12 or 24", f)
	}
	if _, err := c.masks(); err != nil {
		fail("masks", "%w", err)
	}
	var transport error
	if t := c.Transport.Type; t != "" && !slices.Contains(transportTypes, t) {
		transport = failure(ErrInvalidTransport, "", fmt.Errorf("webchat.transport.type: %q is unknown, want one of %s", t, strings.Join(transportTypes, ", ")), "")
	}
	if len(problems) == 0 {
		return transport
	}
	if transport != nil {
		problems = append(problems, transport)
	}
	return failure(ErrInvalidConfig, "", errors.Join(problems...), "")
}

// transportTypes are the values of transport.type (webchatservice 1) and the one that people confuse
// with them is not among them.
var transportTypes = []string{"pureengage-v3-rest", "purecloud-v2-sockets", "pureconnect-v4-rest", "pureconnect-v4-chatbots"}

// checkTags holds the fields of a struct to their tags min, max and oneof.
func checkTags(v reflect.Value, prefix string, fail func(path, format string, args ...any)) {
	t := v.Type()
	for i := range t.NumField() {
		sf, f := t.Field(i), v.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous && name == "" {
			checkTags(f, prefix, fail)
			continue
		}
		path := prefix + name
		var n float64
		switch f.Kind() {
		case reflect.Struct:
			if f.Type() != reflect.TypeFor[Key]() {
				checkTags(f, path+".", fail)
			}
			continue
		case reflect.String:
			if oneof := sf.Tag.Get("oneof"); oneof != "" && !slices.Contains(strings.Split(oneof, ","), f.String()) {
				fail(path, "%q is none of the values allowed, want one of %s", f.String(), strings.ReplaceAll(oneof, ",", ", "))
			}
			continue
		case reflect.Int:
			n = float64(f.Int())
		case reflect.Float64:
			n = f.Float()
		default:
			continue
		}
		lo, hasLo := sf.Tag.Lookup("min")
		hi, hasHi := sf.Tag.Lookup("max")
		below := hasLo && !(n >= number(lo)) // so written, NaN is out of range too
		above := hasHi && !(n <= number(hi))
		if !below && !above {
			continue
		}
		switch {
		case hasLo && hasHi:
			fail(path, "%v is out of range, want %s to %s", n, lo, hi)
		case hasLo:
			fail(path, "%v is out of range, want at least %s", n, lo)
		default:
			fail(path, "%v is out of range, want at most %s", n, hi)
		}
	}
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("webchatservice: limit " + strconv.Quote(s) + " in a tag is not a number")
	}
	return f
}

// wire returns what drivers need to know of c, which has its defaults.
func (c *Config) wire() (chat.Config, error) {
	maxRate := c.PollRateMax
	if c.PollIntervalIdle != 0 {
		maxRate = c.PollIntervalIdle
	}
	w := chat.Config{
		Transport:         c.Transport.Type,
		DataURL:           c.DataURL,
		ServerURL:         c.ServerURL,
		NoTrailingSlash:   !*c.EnableURLTrailingSlash,
		APIKey:            c.APIKey.Secret,
		Endpoint:          c.Endpoint,
		WithCredentials:   c.XHRFields.WithCredentials,
		AjaxTimeout:       ms(c.AjaxTimeout),
		FileUploadTimeout: ms(c.FileUploadTimeout),
		MarkLines:         c.MarkLines,
		Poll: chat.Poll{
			Fixed: !*c.DynamicPolling,
			Rate:  ms(c.PollRate),
			Min:   ms(c.PollRateMin),
			Max:   ms(maxRate),
			Mult:  c.PollRateMult,
			Sleep: ms(c.PollRateSleep),
		},
		CometD: chat.CometD{
			Enabled:     c.CometD.Enabled,
			URL:         c.CometD.CometURL,
			Channel:     c.CometD.Channel,
			APIURL:      c.CometD.APIURL,
			NoWebsocket: !*c.CometD.WebsocketEnabled,
		},
	}
	if c.Transport.Type == "" {
		return w, nil
	}
	if c.Transport.DataURL != "" {
		w.DataURL = c.Transport.DataURL
	}
	if c.Transport.Endpoint != "" {
		w.Endpoint = c.Transport.Endpoint
	}
	w.Headers = make(map[string]chat.Secret, len(c.Transport.Headers))
	for name, key := range c.Transport.Headers {
		w.Headers[name] = key.Secret
	}
	rest := c.Transport
	rest.Headers = nil // they are secrets, and given above
	raw, err := json.Marshal(rest)
	if err == nil {
		err = json.Unmarshal(raw, &w.TransportOptions)
	}
	if err != nil {
		return w, failure(ErrInvalidConfig, "", fmt.Errorf("webchat.transport: %w", err), "free-form groups must hold plain data")
	}
	return w, nil
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
