package bayeux

import "slices"

// State is what a [Client] is doing, in the words of the CometD clients (wire-gms D.6).
type State uint8

const (
	// StateDisconnected: there is no session, and nobody tries to make one. It is the first state, the state after
	// Close, and the one of a client that has stopped. It goes to handshaking, or to terminating.
	StateDisconnected State = iota
	// StateHandshaking: the first handshake is under way. It goes to handshaken, rehandshaking, disconnected, terminating.
	StateHandshaking
	// StateRehandshaking: another handshake is under way or due, because the one before has failed, or because the
	// server does not know the session any more. It goes where handshaking goes, and to itself.
	StateRehandshaking
	// StateHandshaken: there is a session, and no connect was sent yet. It goes to connecting, rehandshaking,
	// disconnected, terminating.
	StateHandshaken
	// StateConnecting: the first connect of the session is under way. It goes to connected, unconnected, rehandshaking,
	// disconnected, disconnecting, terminating.
	StateConnecting
	// StateConnected: the last connect was answered. It goes where connecting goes, and to itself.
	StateConnected
	// StateUnconnected: the last connect has failed. The session may still be there. It goes where connected goes.
	StateUnconnected
	// StateDisconnecting: Close tells the server that the client leaves. It goes to terminating.
	StateDisconnecting
	// StateTerminating: the server was told, or cannot be told. What is under way is being ended. It goes to
	// disconnected.
	StateTerminating
)

var stateNames = [...]string{
	StateDisconnected: "disconnected", StateHandshaking: "handshaking", StateRehandshaking: "rehandshaking",
	StateHandshaken: "handshaken", StateConnecting: "connecting", StateConnected: "connected",
	StateUnconnected: "unconnected", StateDisconnecting: "disconnecting", StateTerminating: "terminating",
}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// nextStates is the table of the state machine: what may follow each state.
var nextStates = [...][]State{
	StateDisconnected:  {StateHandshaking, StateTerminating},
	StateHandshaking:   {StateHandshaken, StateRehandshaking, StateDisconnected, StateTerminating},
	StateRehandshaking: {StateHandshaken, StateRehandshaking, StateDisconnected, StateTerminating},
	StateHandshaken:    {StateConnecting, StateRehandshaking, StateDisconnected, StateTerminating},
	StateConnecting:    {StateConnected, StateUnconnected, StateRehandshaking, StateDisconnected, StateDisconnecting, StateTerminating},
	StateConnected:     {StateConnected, StateUnconnected, StateRehandshaking, StateDisconnected, StateDisconnecting, StateTerminating},
	StateUnconnected:   {StateConnected, StateUnconnected, StateRehandshaking, StateDisconnected, StateDisconnecting, StateTerminating},
	StateDisconnecting: {StateTerminating},
	StateTerminating:   {StateDisconnected},
}

// may reports whether to may follow s.
func (s State) may(to State) bool { return slices.Contains(nextStates[s], to) }
