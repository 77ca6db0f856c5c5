package webchatservice

import (
	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Namespace is the plugin's namespace: the first part of all names of its commands and events.
const Namespace = "WebChatService"

// The events that the vendor's service has (webchatservice 4.1). They are changes of state: what
// already holds is not published again. Payloads are immutable.
var (
	Ready = bus.NewEvent[struct{}](Namespace+".ready", "The service accepts commands; retained.")

	Started         = bus.NewEvent[StartedData](Namespace+".started", "The server has accepted a new session.")
	Restored        = bus.NewEvent[RestoredData](Namespace+".restored", "A stored session is active again.")
	RestoreTimeout  = bus.NewEvent[RestoreTimeoutData](Namespace+".restoreTimeout", "A stored session cannot be restored, because it was silent for too long or because the server says that it has ended.")
	RestoreFailed   = bus.NewEvent[RestoreFailedData](Namespace+".restoreFailed", "A stored session could not be restored for now, and is kept.")
	RestoredOffline = bus.NewEvent[struct{}](Namespace+".restoredOffline", "A session was restored while the chat server behind the service was not available.")
	SessionMoved    = bus.NewEvent[struct{}](Namespace+".sessionMoved", "Another service has taken the session up, which goes on there; nothing more of it is told here. It is this service's own event.")
	SessionLost     = bus.NewEvent[SessionLostData](Namespace+".sessionLost", "The server no longer knows the session; ended follows.")
	Ended           = bus.NewEvent[EndedData](Namespace+".ended", "The session is over; published exactly once for each session.")

	MessageReceived = bus.NewEvent[MessageReceivedData](Namespace+".messageReceived", "New lines of the transcript, of all types, in one batch.")

	ClientConnected        = bus.NewEvent[ParticipantData](Namespace+".clientConnected", "The visitor has joined.")
	ClientDisconnected     = bus.NewEvent[ParticipantData](Namespace+".clientDisconnected", "The visitor has left.")
	AgentConnected         = bus.NewEvent[ParticipantData](Namespace+".agentConnected", "An agent has joined.")
	AgentDisconnected      = bus.NewEvent[ParticipantData](Namespace+".agentDisconnected", "An agent has left.")
	SupervisorConnected    = bus.NewEvent[ParticipantData](Namespace+".supervisorConnected", "A supervisor has joined.")
	SupervisorDisconnected = bus.NewEvent[ParticipantData](Namespace+".supervisorDisconnected", "A supervisor has left.")
	BotConnected           = bus.NewEvent[ParticipantData](Namespace+".botConnected", "A bot has joined.")
	BotDisconnected        = bus.NewEvent[ParticipantData](Namespace+".botDisconnected", "A bot has left.")

	AgentTypingStarted  = bus.NewEvent[Message](Namespace+".agentTypingStarted", "An agent or supervisor began to type.")
	AgentTypingStopped  = bus.NewEvent[Message](Namespace+".agentTypingStopped", "An agent or supervisor ceased to type, sent a line or left.")
	AgentTypingTimeout  = bus.NewEvent[Message](Namespace+".agentTypingTimeout", "An agent who was typing has been silent for so long that it is no longer to be believed.")
	ClientTypingStarted = bus.NewEvent[struct{}](Namespace+".clientTypingStarted", "The visitor began to type.")
	ClientTypingStopped = bus.NewEvent[struct{}](Namespace+".clientTypingStopped", "The visitor ceased to type or sent the line.")

	PollingStarted = bus.NewEvent[struct{}](Namespace+".pollingStarted", "The service polls the server.")
	PollingStopped = bus.NewEvent[struct{}](Namespace+".pollingStopped", "The service no longer polls the server.")
	AjaxResponse   = bus.NewEvent[chat.JSON](Namespace+".ajaxResponse", "A request succeeded: the server's answer, less its secrets.")

	Error                 = bus.NewEvent[ErrorData](Namespace+".error", "A request failed, or the server reports an error; once for each incident.")
	Disconnected          = bus.NewEvent[DisconnectedData](Namespace+".disconnected", "The session cannot reach the server; the service keeps trying.")
	Reconnected           = bus.NewEvent[struct{}](Namespace+".reconnected", "The session reaches the server again.")
	ChatServerWentOffline = bus.NewEvent[struct{}](Namespace+".chatServerWentOffline", "The chat server behind the service is not available.")
	ChatServerBackOnline  = bus.NewEvent[struct{}](Namespace+".chatServerBackOnline", "The chat server behind the service is available again.")
	ChatServerTimeout     = bus.NewEvent[struct{}](Namespace+".chatServerTimeout", "The service gave up reaching the server; ended follows.")

	Sleeping            = bus.NewEvent[struct{}](Namespace+".sleeping", "Polling slowed down, because the user interface is not looked at.")
	Waking              = bus.NewEvent[struct{}](Namespace+".waking", "Polling is back at its pace.")
	CapabilitiesChanged = bus.NewEvent[Capabilities](Namespace+".capabilitiesChanged", "What the wire in use can do is known or has changed.")
)

// The events that are this service's own. The vendor's service leaves it to the user interface to find idleness
// among the lines, and tells nothing of the rest.
var (
	MessageStateChanged = bus.NewEvent[MessageStateData](Namespace+".messageStateChanged",
		"The state of a message of the visitor has changed: pending, sent, failed, unknown or withdrawn.")
	IdleAlert = bus.NewEvent[IdleAlertData](Namespace+".idleAlert",
		"Nobody has written for a while; the server tells what comes next, and when.")
	IdleCancelled = bus.NewEvent[struct{}](Namespace+".idleCancelled",
		"Somebody was active after an idle alert: the count-down no longer counts.")
	TranscriptGap = bus.NewEvent[TranscriptGapData](Namespace+".transcriptGap",
		"Lines are missing that the server no longer has, or that a subscriber could not be given.")
)

// SessionInfo names a session. It has no secret in it: the command getSessionData gives the key.
type SessionInfo struct {
	SessionID string `json:"sessionID"` // the server's id of the chat
	UserID    string `json:"userId"`    // the server's id of the visitor
	Alias     string `json:"alias"`     // which of the chat servers has the chat
}

// StartedData is the payload of [Started].
type StartedData = SessionInfo

// RestoredData is the payload of [Restored].
type RestoredData struct {
	Async bool `json:"async,omitempty"` // the session is long-lived
	// ReadMark is the index of the last line that was published before: lines behind it are new to the
	// visitor. 0 on wires without indices.
	ReadMark int64 `json:"readMark,omitempty"`
	// ReadMarkID is the id of that line, on wires that name lines.
	ReadMarkID string `json:"readMarkID,omitempty"`
}

// RestoreTimeoutData is the payload of [RestoreTimeout]. The vendor's event does not tell the two
// reasons apart.
type RestoreTimeoutData struct {
	// Reason is "timeout" when the session was silent for longer than restoreTimeout, "ended" when
	// the server says that it is over.
	Reason string `json:"reason"`
}

// RestoreFailedData is the payload of [RestoreFailed].
type RestoreFailedData struct {
	Error ErrorData `json:"error"` // what is wrong
}

// SessionLostData is the payload of [SessionLost].
type SessionLostData struct {
	Error ErrorData `json:"error"` // what the server said
}

// EndReason says why a session is over.
type EndReason string

// The reasons of [EndedData].
const (
	EndVisitor EndReason = "visitor" // endChat here, or another device of the visitor
	EndAgent   EndReason = "agent"   // an agent ended it, or all have left
	EndServer  EndReason = "server"  // the server, of its own accord
	EndIdle    EndReason = "idle"    // nobody wrote for too long
	EndExpired EndReason = "expired" // the server forgot a visitor that it had not heard of for too long
	EndLost    EndReason = "lost"    // the server could not be reached for too long
)

// EndedData is the payload of [Ended].
type EndedData struct {
	Reason EndReason `json:"reason"` // visitor, agent, server, idle, expired or lost
	// ServerTold: the server knows that the chat is over. False when endChat could not reach it,
	// and when the connection was lost.
	ServerTold bool `json:"serverTold"`
}

// MessageReceivedData is the payload of [MessageReceived] (webchatservice 4.2).
type MessageReceivedData struct {
	// Messages are the new lines, in the order of the transcript.
	Messages []Message `json:"messages"`
	// OriginalMessages are the same lines as the server sent them, one for each of Messages.
	OriginalMessages []chat.JSON `json:"originalMessages"`
	// Restoring: they are part of a restored transcript.
	Restoring bool `json:"restoring"`
	// SessionData names the session. It does not hold secureKey.
	SessionData SessionInfo `json:"sessionData"`
	// ReadMark, when Restoring, is the index of the last line that was published before: what comes behind
	// it is new to the visitor. 0 on wires without indices.
	ReadMark int64 `json:"readMark,omitempty"`
	// ReadMarkID is the id of that line, on wires that name lines.
	ReadMarkID string `json:"readMarkID,omitempty"`
	// OldMessages: they are older than what came before, and come newest first.
	OldMessages bool `json:"oldMessages"`
	// IdleTimeCountDown is the time before the server closes an idle chat, as sent.
	IdleTimeCountDown chat.JSON `json:"idleTimeCountDown,omitempty"`

	after, before string // ids of the lines around these, for a subscriber that cannot be given them; "" for none
}

// ParticipantData is the payload of the events on participants.
type ParticipantData struct {
	// Message is the line that tells of it. When the end of a chat removes everybody, it is one that
	// the service made, without index.
	Message Message `json:"message"`
	Roster
}

// DisconnectedData is the payload of [Disconnected].
type DisconnectedData struct {
	Error ErrorData `json:"error"` // what is wrong
}

// Capabilities is the payload of [CapabilitiesChanged] (webchatservice 4.3).
type Capabilities struct {
	Async      bool   `json:"async"`      // the session is long-lived
	AsyncClose string `json:"asyncClose"` // what the close button of a long-lived chat does: hideChat or endChat
	Pagination bool   `json:"pagination"` // older lines come page by page, by fetchHistory
	FileUpload bool   `json:"fileUpload"` // files can be sent
}
