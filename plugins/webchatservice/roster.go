package webchatservice

import (
	"maps"
	"slices"
	"strings"

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

// Roster is who takes and took part in a session, besides the visitor, by id. It is a snapshot: it
// belongs to the event or the command that it comes with and never changes. Do not write to its maps.
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

// people follows the lines of a session and knows who is there and who types.
type people struct {
	roster Roster
	client *From // the visitor, while connected
	// typing holds those who type, by id, with the line that said so.
	typing map[PartyID]Message
}

// snapshot returns the roster as it is; empty maps instead of nil ones.
func (p *people) snapshot() Roster {
	r := p.roster
	for _, m := range []*map[string]Participant{&r.Agents, &r.Bots, &r.External} {
		if *m == nil {
			*m = map[string]Participant{}
		}
	}
	return r
}

// see takes in a line and adds what changed to out.
func (p *people) see(m *Message, out []emission) []emission {
	switch m.Type {
	case chat.KindParticipantJoined:
		return p.join(m, out)
	case chat.KindParticipantLeft:
		return p.leave(m, p.stopTyping(m, out))
	case chat.KindTypingStarted:
		if _, on := p.typing[m.From.ID]; on || !types(m.From.Type) {
			return out
		}
		if p.typing == nil {
			p.typing = make(map[PartyID]Message)
		}
		p.typing[m.From.ID] = *m
		return append(out, emission{"agentTypingStarted", *m})
	case chat.KindTypingStopped:
		return p.stopTyping(m, out)
	case chat.KindMessage, chat.KindPushURL, chat.KindNotice:
		return p.stopTyping(m, out) // who sent a line no longer types it (webchatservice 4.1)
	case chat.KindNicknameUpdated:
		p.rename(m)
	}
	return out
}

// types reports whether a party of that role is one whose typing is published.
func types(role chat.Role) bool {
	return role == chat.RoleAgent || role == chat.RoleSupervisor || role == chat.RoleBot
}

func (p *people) stopTyping(m *Message, out []emission) []emission {
	if _, on := p.typing[m.From.ID]; !on {
		return out
	}
	delete(p.typing, m.From.ID)
	return append(out, emission{"agentTypingStopped", *m})
}

// present returns what of out still holds: typing that was over when a session was restored is no change
// of its state.
func (p *people) present(out []emission) []emission {
	return slices.DeleteFunc(out, func(e emission) bool {
		m, _ := e.data.(Message)
		switch e.event {
		case "agentTypingStarted":
			now, on := p.typing[m.From.ID]
			return !on || now.Index != m.Index
		case "agentTypingStopped":
			return true
		}
		return false
	})
}

// doubtTyping ceases to believe in those who type, and adds that to out.
func (p *people) doubtTyping(out []emission) []emission {
	for _, id := range slices.Sorted(maps.Keys(p.typing)) {
		out = append(out, emission{"agentTypingTimeout", p.typing[id]})
	}
	p.typing = nil
	return out
}

// group returns the map that holds parties of a role, the counter of those connected, and the first half of
// the events' names ("" for none).
func (p *people) group(role chat.Role) (members *map[string]Participant, count *int, name string) {
	r := &p.roster
	switch role {
	case chat.RoleAgent:
		return &r.Agents, &r.NumAgentsConnected, "agent"
	case chat.RoleSupervisor:
		return &r.Agents, &r.NumSupervisorsConnected, "supervisor"
	case chat.RoleBot:
		return &r.Bots, &r.NumBotsConnected, "bot"
	}
	return &r.External, &r.NumExternalConnected, ""
}

func (p *people) join(m *Message, out []emission) []emission {
	if m.From.Type == chat.RoleClient {
		if p.client != nil {
			return out
		}
		p.client = &From{m.From.ID, m.From.Type, m.From.Name}
		return append(out, emission{"clientConnected", ParticipantData{*m, p.snapshot()}})
	}
	members, count, name := p.group(m.From.Type)
	id := string(m.From.ID)
	if (*members)[id].Connected {
		return out
	}
	set(members, id, Participant{
		Name:          m.From.Name,
		Connected:     true,
		Supervisor:    m.From.Type == chat.RoleSupervisor,
		ConnectedTime: Time(m.Timestamp),
	})
	*count++
	if name == "" {
		return out
	}
	return append(out, emission{name + "Connected", ParticipantData{*m, p.snapshot()}})
}

func (p *people) leave(m *Message, out []emission) []emission {
	if m.From.Type == chat.RoleClient {
		// Another device of the same visitor has an id of its own.
		if p.client == nil || p.client.ID != m.From.ID {
			return out
		}
		p.client = nil
		return append(out, emission{"clientDisconnected", ParticipantData{*m, p.snapshot()}})
	}
	members, count, name := p.group(m.From.Type)
	id := string(m.From.ID)
	was := (*members)[id]
	if !was.Connected {
		return out
	}
	was.Connected, was.DisconnectedTime = false, Time(m.Timestamp)
	set(members, id, was)
	*count--
	if name == "" {
		return out
	}
	return append(out, emission{name + "Disconnected", ParticipantData{*m, p.snapshot()}})
}

func (p *people) rename(m *Message) {
	if m.From.Type == chat.RoleClient {
		return
	}
	members, _, _ := p.group(m.From.Type)
	if was, ok := (*members)[string(m.From.ID)]; ok && was.Name != m.From.Name {
		was.Name = m.From.Name
		set(members, string(m.From.ID), was)
	}
}

// set changes a copy of the map: snapshots hold the old one.
func set(members *map[string]Participant, id string, p Participant) {
	fresh := maps.Clone(*members)
	if fresh == nil {
		fresh = make(map[string]Participant)
	}
	fresh[id] = p
	*members = fresh
}

// clear removes everybody who is still there, since the chat is over: supervisors, agents, bots, then
// the visitor (webchatservice 4.7).
func (p *people) clear(now int64, out []emission) []emission {
	left := func(from From) *Message {
		return &Message{Type: chat.KindParticipantLeft, Timestamp: now, From: from}
	}
	remove := func(members map[string]Participant, role chat.Role, pick func(Participant) bool) {
		for _, id := range slices.SortedFunc(maps.Keys(members), byNumber) {
			if m := members[id]; m.Connected && pick(m) {
				line := left(From{PartyID(id), role, m.Name})
				out = p.leave(line, p.stopTyping(line, out))
			}
		}
	}
	everybody := func(Participant) bool { return true }
	remove(p.roster.Agents, chat.RoleSupervisor, func(m Participant) bool { return m.Supervisor })
	remove(p.roster.Agents, chat.RoleAgent, func(m Participant) bool { return !m.Supervisor })
	remove(p.roster.Bots, chat.RoleBot, everybody)
	remove(p.roster.External, chat.RoleExternal, everybody)
	if p.client != nil {
		out = p.leave(left(*p.client), out)
	}
	return out
}

// byNumber orders ids: numbers by their value.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// remember makes the roster what all lines known say, which are not from the beginning if cut. Nobody comes or
// goes by that.
func (p *people) remember(lines []*Message, cut bool) {
	var whole people
	for _, m := range lines {
		if m.From.Type == chat.RoleClient {
			continue
		}
		if cut {
			whole.meet(m, nil)
		}
		whole.see(m, nil)
	}
	p.roster = whole.roster
}

// meet takes somebody into the roster of whom a line comes and whose joining is not among the lines known, and adds
// that to out.
func (p *people) meet(m *Message, out []emission) []emission {
	switch m.Type {
	case chat.KindParticipantJoined, chat.KindParticipantLeft:
		return out
	}
	if m.From.Type == chat.RoleClient {
		if p.client != nil {
			return out
		}
	} else if members, _, _ := p.group(m.From.Type); m.From.ID == "" || known(*members, m.From.ID) {
		return out
	}
	unknown := *m
	unknown.Timestamp = 0 // since when is not known
	return p.join(&unknown, out)
}

func known(members map[string]Participant, id PartyID) bool {
	_, ok := members[string(id)]
	return ok
}
