package chatsim

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Role is what somebody joins a chat as.
type Role int

// The roles.
const (
	RoleAgent Role = iota
	RoleSupervisor
	RoleMonitor // a supervisor the visitor does not see, who can whisper
	RoleBot     // External, a program in place of an agent
	RoleSystem  // External; speaks without a joining and a leaving event
)

// Desk hands the chats of a server to Go code that plays the agents.
// Safe for concurrent use.
type Desk struct {
	server *Server
}

// Next waits for a chat that Next has not returned yet and returns the oldest.
// Chats appear here whether or not a [Script] plays in them; use [Nobody] as
// the script to be alone with the visitor.
func (d *Desk) Next(ctx context.Context) (*Chat, error) {
	s := d.server
	for {
		s.mu.Lock()
		if len(s.arrived) > 0 {
			c := s.arrived[0]
			s.arrived = s.arrived[1:]
			s.mu.Unlock()
			return c, nil
		}
		if s.arrival == nil {
			s.arrival = make(chan struct{})
		}
		wait := s.arrival
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// Join brings somebody into the chat. It returns [ErrEnded] once the chat has
// ended.
func (c *Chat) Join(nickname string, as Role) (*Seat, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrEnded
	}
	kind := Agent
	switch as {
	case RoleSupervisor, RoleMonitor:
		kind = Supervisor
	case RoleBot, RoleSystem:
		kind = External
	}
	p := c.joinLocked(nickname, kind, as == RoleBot, as == RoleMonitor, as == RoleSystem)
	return &Seat{chat: c, party: p, silent: as == RoleSystem}, nil
}

// Seat is somebody's place in a chat. Its methods act at once, wait for
// nothing, and return [ErrLeft] after Leave and [ErrEnded] after the end of
// the chat. Safe for concurrent use.
type Seat struct {
	chat   *Chat
	party  *party
	silent bool
}

// Chat returns the chat of the seat.
func (s *Seat) Chat() *Chat { return s.chat }

// Nickname returns the name it goes by.
func (s *Seat) Nickname() string {
	s.chat.mu.Lock()
	defer s.chat.mu.Unlock()
	return s.party.nickname
}

// Say sends a line. The result is the event with its index.
func (s *Seat) Say(text string) (Event, error) {
	return s.add(event{kind: Message, text: text, format: "text"})
}

// SayRich sends a line with structured content, such as quick replies or cards: a JSON value in the form that the clients
// of the chat's wire read. text is what other clients show.
func (s *Seat) SayRich(text string, content json.RawMessage) (Event, error) {
	if !json.Valid(content) {
		return Event{}, errors.New("chatsim: structured content is not JSON")
	}
	return s.add(event{kind: Message, text: text, format: "text", content: slices.Clone(content)})
}

// Whisper sends a line that the visitor does not get.
func (s *Seat) Whisper(text string) (Event, error) {
	return s.add(event{kind: Message, text: text, format: "text", hidden: true})
}

// Type says that the participant types; preview is what he has typed, if the
// visitor is to see it.
func (s *Seat) Type(preview string) (Event, error) {
	return s.add(event{kind: TypingStarted, text: preview})
}

// StopTyping says that the participant has stopped. A line stops it too, with
// no event.
func (s *Seat) StopTyping() (Event, error) { return s.add(event{kind: TypingStopped}) }

// PushURL sends an address to open.
func (s *Seat) PushURL(url string) (Event, error) { return s.add(event{kind: PushURL, text: url}) }

// Notice sends a custom notice; userData may be nil.
func (s *Seat) Notice(text string, userData map[string]string) (Event, error) {
	return s.add(event{kind: CustomNotice, text: text, userData: maps.Clone(userData)})
}

// Emit sends an event of any type, also of one no server knows: only Type,
// Text, MessageType, Content, UserData, Attributes and Hidden of e count.
func (s *Seat) Emit(e Event) (Event, error) {
	if len(e.Attributes) > 0 && !json.Valid(e.Attributes) {
		return Event{}, errors.New("chatsim: event attributes are not JSON")
	}
	if len(e.Content) > 0 && !json.Valid(e.Content) {
		return Event{}, errors.New("chatsim: structured content is not JSON")
	}
	return s.add(event{
		kind: e.Type, text: e.Text, format: e.MessageType, hidden: e.Hidden, content: slices.Clone(e.Content),
		userData: maps.Clone(e.UserData), attributes: append(json.RawMessage(nil), e.Attributes...),
	})
}

// Rename changes the participant's nickname.
func (s *Seat) Rename(nickname string) (Event, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return Event{}, err
	}
	s.party.nickname = nickname
	return c.addLocked(&event{kind: NicknameUpdated, from: s.party}).export(), nil
}

// Leave takes the participant out. The chat goes on; see End.
func (s *Seat) Leave() error {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return err
	}
	if s.silent {
		s.party.present = false
		return nil
	}
	c.leaveLocked(s.party)
	return nil
}

// End ends the chat as an agent does: he leaves, then everybody else.
// Of a long-lived chat only the agent's part ends.
func (s *Seat) End() error {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return err
	}
	c.leaveLocked(s.party)
	if !c.async {
		c.endLocked(EndedByAgent)
	}
	return nil
}

func (s *Seat) add(e event) (Event, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return Event{}, err
	}
	e.from = s.party
	e.hidden = e.hidden || s.party.hidden
	switch e.kind {
	case TypingStarted:
		s.party.typing, s.party.preview = true, e.text
	case TypingStopped:
		s.party.typing, s.party.preview = false, ""
	case Message:
		s.party.typing, s.party.preview = false, ""
		if !e.hidden {
			c.activeLocked()
		}
	}
	return c.addLocked(&e).export(), nil
}

func (s *Seat) checkLocked() error {
	switch {
	case s.chat.ended:
		return ErrEnded
	case !s.party.present:
		return ErrLeft
	}
	return nil
}
