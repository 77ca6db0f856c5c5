package webchatservice

import (
	"maps"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Participant is one who takes or took part in a session.
type Participant struct {
	Name       string `json:"name"`       // the nickname
	Connected  bool   `json:"connected"`  // is in the chat now
	Supervisor bool   `json:"supervisor"` // is a supervisor
	// ConnectedTime is when it joined, in ms since 1970; false in JSON when that is not known.
	ConnectedTime    Time `json:"connectedTime"`
	DisconnectedTime Time `json:"disconnectedTime"` // when it left; false when it did not
}

// Roster is who takes and took part in a session, besides the visitor, by id. It is a snapshot: it belongs to the event
// or the command that it comes with and never changes. Do not write to its maps. In an event it shows the moment of the
// change; the maps of a group in which more than 64 take or took part show the end of the batch.
type Roster struct {
	// Agents are the agents and supervisors.
	Agents map[string]Participant `json:"agents"`
	// Bots are the bots.
	Bots     map[string]Participant `json:"bots"`
	External map[string]Participant `json:"external"` // the system: a routing strategy, a flow

	NumAgentsConnected      int `json:"numAgentsConnected"`      // agents connected now, without supervisors
	NumSupervisorsConnected int `json:"numSupervisorsConnected"` // supervisors connected now
	NumBotsConnected        int `json:"numBotsConnected"`        // bots connected now
	NumExternalConnected    int `json:"numExternalConnected"`    // others connected now
}

// roster follows the lines of a session and knows who is there and who types. What is to be published of it goes to a
// list; before that is published seal must be called.
type roster struct {
	agents, bots, external members

	agentsConnected, supervisorsConnected, botsConnected, externalConnected int

	visitor *From // while connected
	// typing holds those who type, by id, with the line that said so.
	typing map[PartyID]Message
}

// members are the participants of one group, by id.
type members struct {
	all    map[string]Participant
	shared bool // a snapshot has the map, so that it must not be written to any more
}

// maxExact is up to how many members each change gets a snapshot of its own. Beyond, the changes of a batch share one:
// a copy for each of some thousand changes would take minutes and gigabytes.
const maxExact = 64

// set enters a member, into a copy where a snapshot has the map.
func (m *members) set(id string, p Participant) {
	if m.shared || m.all == nil {
		fresh := make(map[string]Participant, len(m.all)+1)
		maps.Copy(fresh, m.all)
		m.all, m.shared = fresh, false
	}
	m.all[id] = p
}

// view returns the map as it is.
func (m *members) view() map[string]Participant {
	if m.all == nil {
		return map[string]Participant{} // null in JSON otherwise
	}
	if len(m.all) <= maxExact {
		m.shared = true
	}
	return m.all
}

// snapshot returns the roster as it is; see seal.
func (r *roster) snapshot() Roster {
	return Roster{
		Agents: r.agents.view(), Bots: r.bots.view(), External: r.external.view(),
		NumAgentsConnected: r.agentsConnected, NumSupervisorsConnected: r.supervisorsConnected,
		NumBotsConnected: r.botsConnected, NumExternalConnected: r.externalConnected,
	}
}

// view returns the roster as it is, for good.
func (r *roster) view() Roster {
	r.seal()
	return r.snapshot()
}

// seal makes all snapshots so far what they stay.
func (r *roster) seal() { r.agents.shared, r.bots.shared, r.external.shared = true, true, true }

// apply takes in a line and adds what changed to out.
func (r *roster) apply(m *Message, out *publications) {
	switch m.Type {
	case chat.KindParticipantJoined:
		r.join(m, out)
	case chat.KindParticipantLeft:
		r.stopTyping(m, out)
		r.leave(m, out)
	case chat.KindTypingStarted:
		if _, on := r.typing[m.From.ID]; on || !typingIsPublished(m.From.Type) {
			return
		}
		if r.typing == nil {
			r.typing = make(map[PartyID]Message)
		}
		r.typing[m.From.ID] = *m
		add(out, AgentTypingStarted, *m)
	case chat.KindTypingStopped:
		r.stopTyping(m, out)
	case chat.KindMessage, chat.KindPushURL, chat.KindNotice:
		r.stopTyping(m, out) // who sent a line no longer types it (webchatservice 4.1)
	case chat.KindNicknameUpdated:
		r.rename(m)
	}
}

func typingIsPublished(role chat.Role) bool {
	return role == chat.RoleAgent || role == chat.RoleSupervisor || role == chat.RoleBot
}

func (r *roster) stopTyping(m *Message, out *publications) {
	if _, on := r.typing[m.From.ID]; on {
		delete(r.typing, m.From.ID)
		add(out, AgentTypingStopped, *m)
	}
}

// current returns what of changes still holds after all of them: typing that was over when a session was restored is no
// change of its state.
func (r *roster) current(changes publications) publications {
	return slices.DeleteFunc(changes, func(p publication) bool {
		switch p.event {
		case AgentTypingStarted.Name():
			m := p.payload.(Message)
			now, on := r.typing[m.From.ID]
			return !on || now.Index != m.Index
		case AgentTypingStopped.Name():
			return true
		}
		return false
	})
}

// expireTyping ceases to believe in those who type, and adds that to out.
func (r *roster) expireTyping(out *publications) {
	for _, id := range slices.Sorted(maps.Keys(r.typing)) {
		add(out, AgentTypingTimeout, r.typing[id])
	}
	r.typing = nil
}

// group returns who has a role, the counter of those connected, and the events of who comes and goes. Of those who are
// External there are no events.
func (r *roster) group(role chat.Role) (m *members, connected *int, comes, goes *bus.EventOf[ParticipantData]) {
	switch role {
	case chat.RoleAgent:
		return &r.agents, &r.agentsConnected, &AgentConnected, &AgentDisconnected
	case chat.RoleSupervisor:
		return &r.agents, &r.supervisorsConnected, &SupervisorConnected, &SupervisorDisconnected
	case chat.RoleBot:
		return &r.bots, &r.botsConnected, &BotConnected, &BotDisconnected
	}
	return &r.external, &r.externalConnected, nil, nil
}

func (r *roster) join(m *Message, out *publications) {
	if m.From.Type == chat.RoleClient {
		if r.visitor == nil {
			r.visitor = &From{m.From.ID, m.From.Type, m.From.Name}
			add(out, ClientConnected, ParticipantData{*m, r.snapshot()})
		}
		return
	}
	members, connected, comes, _ := r.group(m.From.Type)
	id := string(m.From.ID)
	if members.all[id].Connected {
		return
	}
	members.set(id, Participant{
		Name:          m.From.Name,
		Connected:     true,
		Supervisor:    m.From.Type == chat.RoleSupervisor,
		ConnectedTime: Time(m.Timestamp),
	})
	*connected++
	if comes != nil {
		add(out, *comes, ParticipantData{*m, r.snapshot()})
	}
}

func (r *roster) leave(m *Message, out *publications) {
	if m.From.Type == chat.RoleClient {
		// Another device of the same visitor has an id of its own.
		if r.visitor != nil && r.visitor.ID == m.From.ID {
			r.visitor = nil
			add(out, ClientDisconnected, ParticipantData{*m, r.snapshot()})
		}
		return
	}
	members, connected, _, goes := r.group(m.From.Type)
	id := string(m.From.ID)
	was := members.all[id]
	if !was.Connected {
		return
	}
	was.Connected, was.DisconnectedTime = false, Time(m.Timestamp)
	members.set(id, was)
	*connected--
	if goes != nil {
		add(out, *goes, ParticipantData{*m, r.snapshot()})
	}
}

func (r *roster) rename(m *Message) {
	if m.From.Type == chat.RoleClient {
		return
	}
	members, _, _, _ := r.group(m.From.Type)
	if was, ok := members.all[string(m.From.ID)]; ok && was.Name != m.From.Name {
		was.Name = m.From.Name
		members.set(string(m.From.ID), was)
	}
}

// clear removes everybody who is still there, since the chat is over: supervisors, agents, bots, then
// the visitor (webchatservice 4.7).
func (r *roster) clear(now int64, out *publications) {
	line := func(from From) *Message {
		return &Message{Type: chat.KindParticipantLeft, Timestamp: now, From: from}
	}
	remove := func(all map[string]Participant, role chat.Role, pick func(Participant) bool) {
		for _, id := range slices.SortedFunc(maps.Keys(all), byNumber) {
			if m := all[id]; m.Connected && pick(m) {
				left := line(From{PartyID(id), role, m.Name})
				r.stopTyping(left, out)
				r.leave(left, out)
			}
		}
	}
	everybody := func(Participant) bool { return true }
	remove(r.agents.all, chat.RoleSupervisor, func(m Participant) bool { return m.Supervisor })
	remove(r.agents.all, chat.RoleAgent, func(m Participant) bool { return !m.Supervisor })
	remove(r.bots.all, chat.RoleBot, everybody)
	remove(r.external.all, chat.RoleExternal, everybody)
	if r.visitor != nil {
		r.leave(line(*r.visitor), out)
	}
}

// byNumber orders ids: numbers by their value.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// rebuild makes the roster what all lines known say, which are not from the beginning if cut. Nobody comes or
// goes by that.
func (r *roster) rebuild(lines []*Message, cut bool) {
	var whole roster
	var none publications
	for _, m := range lines {
		if m.From.Type == chat.RoleClient {
			continue
		}
		if cut {
			whole.introduce(m, &none)
		}
		whole.apply(m, &none)
	}
	whole.visitor, whole.typing = r.visitor, r.typing
	*r = whole
}

// introduce takes somebody into the roster of whom a line comes and whose joining is not among the lines known, and
// adds that to out.
func (r *roster) introduce(m *Message, out *publications) {
	switch m.Type {
	case chat.KindParticipantJoined, chat.KindParticipantLeft:
		return
	}
	if m.From.Type == chat.RoleClient {
		if r.visitor != nil {
			return
		}
	} else {
		members, _, _, _ := r.group(m.From.Type)
		if _, known := members.all[string(m.From.ID)]; known || m.From.ID == "" {
			return
		}
	}
	joined := *m
	joined.Timestamp = 0 // since when is not known
	r.join(&joined, out)
}
