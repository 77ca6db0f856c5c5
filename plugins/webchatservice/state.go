package webchatservice

import "slices"

// State is where a session stands. A session goes its way once: from StateIdle to one of the three
// final states.
type State uint8

const (
	// StateIdle: made, and nothing asked of the server yet. Goes to starting or restoring.
	StateIdle State = iota
	// StateStarting: a start request is under way. Goes to active, to failed, or to ending when
	// endChat comes first.
	StateStarting
	// StateRestoring: a stored session is being taken up. Goes as StateStarting does.
	StateRestoring
	// StateActive: the server knows the session and can be reached. Goes to interrupted, ending, ended
	// or released.
	StateActive
	// StateInterrupted: the server knows the session and cannot be reached; messages wait. Goes as
	// StateActive does, and back to it.
	StateInterrupted
	// StateEnding: endChat is under way; no more messages are taken. Goes to ended, or to failed if there was
	// no session yet.
	StateEnding
	// StateEnded: over; final. The event ended is published on the way here and nowhere else.
	StateEnded
	// StateFailed: it never came to be; final.
	StateFailed
	// StateReleased: given up by this process, alive on the server and in the store; final.
	StateReleased
)

// ways says where each state can go.
var ways = [...][]State{
	StateIdle:        {StateStarting, StateRestoring},
	StateStarting:    {StateActive, StateFailed, StateEnding},
	StateRestoring:   {StateActive, StateFailed, StateEnding},
	StateActive:      {StateInterrupted, StateEnding, StateEnded, StateReleased},
	StateInterrupted: {StateActive, StateEnding, StateEnded, StateReleased},
	StateEnding:      {StateEnded, StateFailed},
	StateEnded:       nil,
	StateFailed:      nil,
	StateReleased:    nil,
}

var stateNames = [...]string{
	"idle", "starting", "restoring", "active", "interrupted", "ending", "ended", "failed", "released",
}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// CanBecome reports whether a session may go from s to next in one step.
func (s State) CanBecome(next State) bool {
	return int(s) < len(ways) && slices.Contains(ways[s], next)
}

// Final reports whether a session in s stays there.
func (s State) Final() bool { return int(s) < len(ways) && len(ways[s]) == 0 }

// live reports whether the server knows a session in s.
func (s State) live() bool { return s == StateActive || s == StateInterrupted }
