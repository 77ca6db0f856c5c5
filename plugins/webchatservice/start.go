package webchatservice

import (
	"context"
	"fmt"
	"strings"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands that begin a session (webchatservice 3). What each command rejects with is in the manual, in
// [Rejections], and at the Err variables.
var (
	Configure = bus.NewCommand[Config, struct{}](Namespace+".configure",
		"Takes the webchat section of a configuration. During a session it counts from the next one on, but for maxMessageLength and masks, which count at once.")
	StartChat = bus.NewCommand[StartChatIn, Answer](Namespace+".startChat",
		"Starts a session and resolves once the server has accepted it.")
)

// StartChatIn are the options of startChat. Fields of Form count where the same one beside it is
// empty; those that have no other place are attached as user data.
type StartChatIn struct {
	Nickname  string `json:"nickname,omitempty"`  // what the agent calls the visitor
	FirstName string `json:"firstname,omitempty"` // the visitor's first name
	LastName  string `json:"lastname,omitempty"`  // the visitor's last name
	Email     string `json:"email,omitempty"`     // the visitor's address
	Subject   string `json:"subject,omitempty"`   // what it is about
	// Form is the same by the names of a form's fields, and fields of its own.
	Form map[string]any `json:"form,omitempty"`
	// UserData is an object, or a string with the JSON of one. It is merged over what
	// was configured, and kept for later sessions.
	UserData any `json:"userData,omitempty"`
	// Async is whether a session is asked for that outlives the program and the agents (wire-gms C), or one that does
	// not; nil means what webchat.async.enabled says.
	Async *bool `json:"async,omitempty"`
	// InteractionData is routing and journey data, on wires that have them.
	InteractionData map[string]any `json:"interactionData,omitempty"`

	// The rest overrides what is configured for other transports.

	// Headers are those of every request of pureengage-v3-rest; rejected on other transports.
	Headers map[string]Key `json:"headers,omitempty"`
	// DataURL is where pureengage-v3-rest starts; rejected on other transports.
	DataURL string `json:"dataURL,omitempty"`
	// DeploymentKey is the deployment id of purecloud-v2-sockets; rejected on other transports.
	DeploymentKey string `json:"deploymentKey,omitempty"`
	// OrganizationID is the organisation of purecloud-v2-sockets; rejected on other transports.
	OrganizationID string `json:"organizationId,omitempty"`
	// OrgGUID is the same as OrganizationID, where that is empty; rejected on other transports.
	OrgGUID string `json:"orgGuid,omitempty"`
}

// other names the options that are set and for another transport.
func (in *StartChatIn) other() []string {
	var names []string
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"headers", len(in.Headers) > 0}, {"dataURL", in.DataURL != ""}, {"deploymentKey", in.DeploymentKey != ""},
		{"organizationId", in.OrganizationID != ""}, {"orgGuid", in.OrgGUID != ""},
	} {
		if o.set {
			names = append(names, o.name)
		}
	}
	return names
}

// Answer is what a command resolves with that asked the server something.
type Answer struct {
	// StatusCode is the server's; 0 is well, and the only one there is: others reject.
	StatusCode int `json:"statusCode"`
	// Answer is the server's answer as it came, less its secrets; nil where there is none.
	Answer chat.JSON `json:"answer,omitempty"`
}

func (s *Service) startChat(ctx context.Context, in StartChatIn) (Answer, error) {
	if other := in.other(); len(other) > 0 {
		return Answer{}, failure(ErrOtherTransport, "startChat", fmt.Errorf("for another transport: %s", strings.Join(other, ", ")), "leave the options out")
	}
	data, err := parseUserData(in.UserData)
	if err != nil {
		return Answer{}, err
	}
	r, formData, err := request(in)
	if err != nil {
		return Answer{}, err
	}

	if r.Interaction, err = plainData(r.Interaction); err != nil {
		return Answer{}, failure(bus.ErrWrongType, "startChat", fmt.Errorf("interactionData: %w", err), "want plain data")
	}
	if err := s.prepareDriver(); err != nil {
		return Answer{}, err
	}

	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return Answer{}, bus.ErrStopped
	}
	if s.restore != nil || s.cur != nil && !s.cur.current().Final() {
		s.mu.Unlock()
		return Answer{}, failure(ErrSessionActive, "startChat", nil, "call endChat first")
	}
	driver := s.drivers.current
	r.Async = s.cfg.Async.Enabled
	if in.Async != nil {
		r.Async = *in.Async
	}
	s.userData = merged(s.userData, formData, data)
	r.UserData = merged(s.cfg.UserData, s.userData)
	s.deps.pushUserData(r.UserData)
	r.Interaction = merged(s.cfg.Transport.InteractionData, s.routing, r.Interaction)
	r.Credentials = s.opts.Credentials
	ses := s.deps.newSession(&s.cfg, StateStarting)
	ses.async = r.Async
	s.cur = ses
	s.mu.Unlock()
	s.deps.events.flush()

	return connecting{ses, StateStarting}.begin(ctx, func(ctx context.Context) (chat.Conn, error) { return driver.Open(ctx, r) })
}

// request turns the options of startChat into the wire's terms, and returns what of the form is user
// data.
func request(in StartChatIn) (chat.Request, map[string]any, error) {
	r := chat.Request{
		Nickname: in.Nickname, FirstName: in.FirstName, LastName: in.LastName, Email: in.Email,
		Subject: in.Subject, Interaction: in.InteractionData,
	}
	fields := map[string]*string{
		"nickname": &r.Nickname, "firstname": &r.FirstName, "lastname": &r.LastName, "email": &r.Email,
		"subject": &r.Subject,
	}
	var rest map[string]any
	for name, v := range in.Form {
		if name == "userData" {
			continue
		}
		field, known := fields[name]
		if !known {
			rest = merged(rest, map[string]any{name: v})
			continue
		}
		text, ok := v.(string)
		if !ok {
			return r, nil, failure(bus.ErrWrongType, "startChat", fmt.Errorf("form.%s is %T", name, v), "want text")
		}
		if *field == "" {
			*field = text
		}
	}
	rest, err := plainData(rest)
	if err != nil {
		return r, nil, failure(bus.ErrWrongType, "startChat", fmt.Errorf("form: %w", err), "want plain data")
	}
	data, err := parseUserData(in.Form["userData"])
	return r, merged(rest, data), err
}
