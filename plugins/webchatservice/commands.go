package webchatservice

import (
	"encoding/json"

	"github.com/cxbus/cxbus/bus"
)

// The commands (webchatservice 3). What they reject with is in the manual and at the Err variables.
var (
	Configure = bus.NewCommand[Config, struct{}](Namespace+".configure",
		"Takes the webchat section of a configuration. During a session it counts from the next one on.")
	StartChat = bus.NewCommand[StartChatIn, Answer](Namespace+".startChat",
		"Starts a session and resolves once the server has accepted it.")
	EndChat = bus.NewCommand[struct{}, Answer](Namespace+".endChat",
		"Ends the session, after the messages under way, and resolves once the server knows.")
	SendMessage = bus.NewCommand[SendMessageIn, SendMessageOut](Namespace+".sendMessage",
		"Sends a message and resolves once the server has it. Messages are sent in the order of the calls, at most once; while the network is down they wait.")
	SendTyping = bus.NewCommand[SendTypingIn, Answer](Namespace+".sendTyping",
		"Tells that the visitor types; meant to be called on every key press.")
	UpdateUserData = bus.NewCommand[map[string]any, UpdateUserDataOut](Namespace+".updateUserData",
		"Merges data into what is attached to the session, or to the next one.")
	Restore = bus.NewCommand[RestoreIn, Answer](Namespace+".restore",
		"Takes up the stored session, or the one in sessionData.")
	GetTranscript = bus.NewCommand[struct{}, Transcript](Namespace+".getTranscript",
		"Gives the lines of the session, or of the last one until the next starts.")
	GetAgents = bus.NewCommand[struct{}, Roster](Namespace+".getAgents",
		"Gives who takes and took part, besides the visitor.")
	GetStats = bus.NewCommand[struct{}, Stats](Namespace+".getStats",
		"Gives the participants and the times of the first and the last line.")
	GetSessionData = bus.NewCommand[struct{}, SessionData](Namespace+".getSessionData",
		"Gives the keys of the session, secureKey too; empty ones without a session.")
	Poll = bus.NewCommand[struct{}, Answer](Namespace+".poll",
		"Polls the server now; only the service itself may.")
	StartPoll = bus.NewCommand[struct{}, struct{}](Namespace+".startPoll",
		"Polls from now on, beginning at the fastest rate.")
	StopPoll = bus.NewCommand[struct{}, struct{}](Namespace+".stopPoll",
		"Ceases to poll; the server gives the visitor up after a while.")
	VerifySession = bus.NewCommand[struct{}, VerifySessionOut](Namespace+".verifySession",
		"Tells whether there is a session that is, or could be, used.")
)

// StartChatIn are the options of startChat. Fields of Form count where the same one beside it is
// empty; those that have no other place are attached as user data.
type StartChatIn struct {
	Nickname  string         `json:"nickname,omitempty"`  // what the agent calls the visitor
	FirstName string         `json:"firstname,omitempty"` // the visitor's first name
	LastName  string         `json:"lastname,omitempty"`  // the visitor's last name
	Email     string         `json:"email,omitempty"`     // the visitor's address
	Subject   string         `json:"subject,omitempty"`   // what it is about
	Form      map[string]any `json:"form,omitempty"`      // the same by the names of a form's fields, and fields of its own
	// UserData is an object, or a string with the JSON of one. It is merged over what
	// was configured, and kept for later sessions.
	UserData any `json:"userData,omitempty"`
	// Async asks for a session that outlives the program and the agents (wire-gms C), or for one that does
	// not; nil means what webchat.async.enabled says.
	Async *bool `json:"async,omitempty"`
	// InteractionData is routing and journey data, on wires that have them.
	InteractionData map[string]any `json:"interactionData,omitempty"`

	// The rest overrides what is configured for other transports.

	Headers        map[string]Key `json:"headers,omitempty"`        // pureengage-v3-rest: headers of every request; rejected on other transports
	DataURL        string         `json:"dataURL,omitempty"`        // pureengage-v3-rest: where to start; rejected on other transports
	DeploymentKey  string         `json:"deploymentKey,omitempty"`  // purecloud-v2-sockets: deployment id; rejected on other transports
	OrganizationID string         `json:"organizationId,omitempty"` // purecloud-v2-sockets: organisation; rejected on other transports
	OrgGUID        string         `json:"orgGuid,omitempty"`        // purecloud-v2-sockets: the same, where organizationId is empty; rejected on other transports
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
	Answer json.RawMessage `json:"answer,omitempty"`
}

// SendMessageIn are the options of sendMessage.
type SendMessageIn struct {
	Message string `json:"message"` // the text
	// Type labels the message; "" means text.
	Type string `json:"type,omitempty"`
	// ParentMessageID is the index or id of the line that this one answers.
	ParentMessageID LineID `json:"parentMessageID,omitempty"`
}

// SendMessageOut is what sendMessage resolves with.
type SendMessageOut struct {
	Answer
	// MessageID is the service's own id of the message, as in [MessageStateChanged].
	MessageID string `json:"messageID"`
}

// LineID is the index or the id of a line; in JSON a number or a string.
type LineID string

// UnmarshalJSON takes a number or a string.
func (l *LineID) UnmarshalJSON(b []byte) error { return (*PartyID)(l).UnmarshalJSON(b) }

// SendTypingIn are the options of sendTyping.
type SendTypingIn struct {
	// Message is what the visitor has typed so far, for the agent to see.
	Message string `json:"message,omitempty"`
	// IsTyping false ceases at once; nil and true say that the visitor types.
	IsTyping *bool `json:"isTyping,omitempty"`
}

// UpdateUserDataOut is what updateUserData resolves with.
type UpdateUserDataOut struct {
	Answer
	// UserData is the merged data, as the next session will start with it.
	UserData map[string]any `json:"userData"`
}

// RestoreIn are the options of restore. The zero RestoreIn means the session in the [Store].
type RestoreIn struct {
	// Async tells that the session of SessionData is a long-lived one.
	Async RestoreAsync `json:"async,omitzero"`
	// SessionData is a session that the caller has kept, as getSessionData gave it. It is taken up in the
	// place of a stored one, and becomes the stored one.
	SessionData *SessionKeys `json:"sessionData,omitempty"`
}

// SessionKeys is a [SessionData] that shows its key nowhere, not even as JSON: SessionKeys(data) makes one.
type SessionKeys struct {
	SessionID string `json:"sessionID"` // the server's id of the chat
	UserID    string `json:"userId"`    // the server's id of the visitor
	SecureKey Key    `json:"secureKey"` // a secret
	Alias     string `json:"alias"`     // which of the chat servers has the chat
}

// RestoreAsync is the group async of [RestoreIn].
type RestoreAsync struct {
	Enabled bool `json:"enabled,omitempty"`
}

// Transcript is what getTranscript resolves with.
type Transcript struct {
	// Messages are the lines, in the order of the transcript.
	Messages []Message `json:"messages"`
	// OriginalMessages are the same lines as the server sent them, one for each of Messages.
	OriginalMessages []json.RawMessage `json:"originalMessages"`
}

// Stats is what getStats resolves with. Times are in ms; all three are false in JSON when there is no line.
type Stats struct {
	Roster
	StartTime Time    `json:"startTime"` // of the first line
	EndTime   Time    `json:"endTime"`   // of the last line
	Duration  Elapsed `json:"duration"`  // from the one to the other; -1 when there is no line
}

// SessionData is what getSessionData resolves with: the one place where secureKey is given out. It
// is in the JSON; fmt and log/slog print it hidden.
type SessionData struct {
	SessionID string `json:"sessionID"` // the server's id of the chat
	UserID    string `json:"userId"`    // the server's id of the visitor
	SecureKey Key    `json:"secureKey"` // proves to the server that it is this visitor: a secret
	Alias     string `json:"alias"`     // which of the chat servers has the chat
}

// MarshalJSON writes {sessionID, userId, secureKey, alias}, the key as it is.
func (d SessionData) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		SessionID string `json:"sessionID"`
		UserID    string `json:"userId"`
		SecureKey string `json:"secureKey"`
		Alias     string `json:"alias"`
	}{d.SessionID, d.UserID, d.SecureKey.Reveal(), d.Alias})
}

// VerifySessionOut is what verifySession resolves with.
type VerifySessionOut struct {
	SessionActive bool `json:"sessionActive"` // there is one that is, or could be, used
}
