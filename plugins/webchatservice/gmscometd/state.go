package gmscometd

import "slices"

// state is what a Bayeux client is doing, in the words of the CometD clients.
type state uint8

const (
	// stateDisconnected: there is no session and nobody tries to make one. It is the first state and the last.
	stateDisconnected state = iota
	// stateHandshaking: the first handshake is under way.
	stateHandshaking
	// stateRehandshaking: another handshake is under way or due, since the one before failed or since the
	// server no longer knows the session.
	stateRehandshaking
	// stateHandshaken: there is a session, and nothing was asked of it yet.
	stateHandshaken
	// stateConnecting: the first connect of the session is under way.
	stateConnecting
	// stateConnected: the last connect was answered.
	stateConnected
	// stateUnconnected: the last connect failed; the session may still be there.
	stateUnconnected
	// stateDisconnecting: the server is being told that the client leaves.
	stateDisconnecting
	// stateTerminating: it was told, or cannot be; what is under way is ended.
	stateTerminating
)

var stateNames = [...]string{
	stateDisconnected: "disconnected", stateHandshaking: "handshaking", stateRehandshaking: "rehandshaking",
	stateHandshaken: "handshaken", stateConnecting: "connecting", stateConnected: "connected",
	stateUnconnected: "unconnected", stateDisconnecting: "disconnecting", stateTerminating: "terminating",
}

// String returns the state's name.
func (s state) String() string { return stateNames[s] }

// nextStates is the table of the state machine (wire-gms D.6): what may follow each state.
var nextStates = [...][]state{
	stateDisconnected:  {stateHandshaking, stateTerminating},
	stateHandshaking:   {stateHandshaken, stateRehandshaking, stateDisconnected, stateTerminating},
	stateRehandshaking: {stateHandshaken, stateRehandshaking, stateDisconnected, stateTerminating},
	stateHandshaken:    {stateConnecting, stateRehandshaking, stateDisconnected, stateTerminating},
	stateConnecting:    {stateConnected, stateUnconnected, stateRehandshaking, stateDisconnected, stateDisconnecting, stateTerminating},
	stateConnected:     {stateConnected, stateUnconnected, stateRehandshaking, stateDisconnected, stateDisconnecting, stateTerminating},
	stateUnconnected:   {stateConnected, stateUnconnected, stateRehandshaking, stateDisconnected, stateDisconnecting, stateTerminating},
	stateDisconnecting: {stateTerminating},
	stateTerminating:   {stateDisconnected},
}

// may reports whether to may follow s.
func (s state) may(to state) bool { return slices.Contains(nextStates[s], to) }
