package webchatservice

import "github.com/cxbus/cxbus/bus"

// The values of the service's data store, by the vendor's keys (webchatservice 1). They change in order with the
// events, next to those that tell of the same; nothing comes behind ended. A value is there from its first change on.
// The vendor's key sessionData is left out: it holds secureKey.
var (
	DataSessionActive = bus.NewData[bool](Namespace+".sessionActive",
		"There is a session that the server knows.")
	DataSleeping = bus.NewData[bool](Namespace+".sleeping",
		"The session polls slowly, because nobody looks.")
	DataAgentTyping = bus.NewData[bool](Namespace+".agentTyping",
		"An agent, supervisor or bot types.")
	DataUserData = bus.NewData[map[string]any](Namespace+".userData",
		"What is attached to the session, or to the next one; masked as messages are.")
	DataInteractionData = bus.NewData[map[string]any](Namespace+".interactionData",
		"Routing and journey data for the session, or for the next one; masked as messages are.")
	DataCapabilities = bus.NewData[Capabilities](Namespace+".capabilities",
		"What the wire in use can do, as in the last capabilitiesChanged.")
	DataMode = bus.NewData[Mode](Namespace+".mode",
		"Whether the session is a long-lived one.")
)

// Mode is the value of [DataMode].
type Mode struct {
	Async bool `json:"async"` // the session is long-lived
}

// dataChange is the payload of a publication that changes the data store.
type dataChange func(c *bus.Client) error

// setData queues a change of the data store, in order with the events. The caller holds the lock.
func setData[T any](from emitter, d bus.DataOf[T], v T) { from.emitLocked(dataOf(d, v)) }

// dataOf returns the change of d to v.
func dataOf[T any](d bus.DataOf[T], v T) publication {
	return publication{event: d.Name(), payload: dataChange(func(c *bus.Client) error { return d.Set(c, v) })}
}
