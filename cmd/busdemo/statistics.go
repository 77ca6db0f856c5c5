package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The plugin of this file is written as a user of the library would write one: a namespace with a
// typed command and a typed event, fed by the events of another plugin.

// Report is the command Statistics.report.
var Report = bus.NewCommand[struct{}, Figures]("Statistics.report",
	"Gives the figures of the chats so far.")

// Answered is the event Statistics.answered.
var Answered = bus.NewEvent[AnsweredData]("Statistics.answered",
	"An agent has answered a line of the visitor.")

// Figures is what Statistics.report resolves with.
type Figures struct {
	Chats       int       `json:"chats"`       // that have ended
	Agents      []string  `json:"agents"`      // that joined, by name
	Speakers    []Speaker `json:"speakers"`    // who said something, in order of names
	Answers     int       `json:"answers"`     // lines of the visitor that an agent answered
	SlowestMs   int64     `json:"slowestMs"`   // longest time from a line to its answer
	FirstJoinMs int64     `json:"firstJoinMs"` // time from the visitor's joining to the first agent's
}

// Speaker is who said how much.
type Speaker struct {
	Name       string `json:"name"`
	Role       string `json:"role"`
	Lines      int    `json:"lines"`
	Characters int    `json:"characters"`
}

// AnsweredData is the payload of Statistics.answered.
type AnsweredData struct {
	Agent   string `json:"agent"`
	AfterMs int64  `json:"afterMs"`
}

// Statistics counts what is said in the chats of WebChatService. It keeps its figures when it is stopped and
// started again, on the same bus or another.
type Statistics struct {
	client *bus.Client

	mu       sync.Mutex // guards the rest: events and commands may overlap
	figures  Figures
	speakers map[webchatservice.From]*Speaker
	joined   int64 // when the visitor joined
	asked    int64 // when the visitor wrote the line that waits for an answer; 0 for none
}

// Namespace implements bus.Plugin.
func (s *Statistics) Namespace() string { return "Statistics" }

// Start implements bus.Plugin.
func (s *Statistics) Start(_ context.Context, c *bus.Client) error {
	s.client = c
	if s.speakers == nil { // else it goes on counting, on another bus
		s.speakers = map[webchatservice.From]*Speaker{}
	}
	_, declared := Answered.Bind(c)
	_, lines := bus.Subscribe(c, webchatservice.MessageReceived, s.onMessages)
	_, visitors := bus.Subscribe(c, webchatservice.ClientConnected, s.onVisitor)
	_, agents := bus.Subscribe(c, webchatservice.AgentConnected, s.onAgent)
	_, ends := bus.Subscribe(c, webchatservice.Ended, s.onEnded)
	return errors.Join(declared, lines, visitors, agents, ends, bus.Handle(c, Report, s.report))
}

func (s *Statistics) report(ctx context.Context, _ struct{}) (Figures, error) {
	// Events come through the mailbox: let in what was published before the question.
	if err := s.client.Flush(ctx); err != nil {
		return Figures{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures
	f.Agents = append([]string{}, f.Agents...)
	f.Speakers = make([]Speaker, 0, len(s.speakers))
	for _, sp := range s.speakers {
		f.Speakers = append(f.Speakers, *sp)
	}
	slices.SortFunc(f.Speakers, func(a, b Speaker) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Role, b.Role))
	})
	return f, nil
}

func (s *Statistics) onMessages(ctx context.Context, e bus.Event[webchatservice.MessageReceivedData]) {
	for _, m := range e.Data.Messages {
		if m.Type != chat.KindMessage || m.Restoring {
			continue
		}
		if a, ok := s.count(m); ok {
			// The mutex is free again: whoever is called may ask for a report. A handler's own
			// context never waits, so there is nothing to do about an error but to miss one event.
			_ = Answered.Publish(ctx, s.client, a)
		}
	}
}

// count takes in a line, and reports whether it answers one of the visitor's.
func (s *Statistics) count(m webchatservice.Message) (AnsweredData, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.speakers[m.From]
	if sp == nil {
		sp = &Speaker{Name: m.From.Name, Role: string(m.From.Type)}
		s.speakers[m.From] = sp
	}
	sp.Lines++
	sp.Characters += utf8.RuneCountInString(m.Text)

	switch {
	case m.Own() && s.asked == 0:
		s.asked = m.Timestamp
	case m.From.Type == chat.RoleAgent && s.asked != 0:
		a := AnsweredData{Agent: m.From.Name, AfterMs: max(0, m.Timestamp-s.asked)}
		s.asked = 0
		s.figures.Answers++
		s.figures.SlowestMs = max(s.figures.SlowestMs, a.AfterMs)
		return a, true
	}
	return AnsweredData{}, false
}

func (s *Statistics) onVisitor(_ context.Context, e bus.Event[webchatservice.ParticipantData]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined = e.Data.Message.Timestamp
}

func (s *Statistics) onAgent(_ context.Context, e bus.Event[webchatservice.ParticipantData]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.figures.Agents) == 0 && s.joined != 0 {
		s.figures.FirstJoinMs = max(0, e.Data.Message.Timestamp-s.joined)
	}
	if name := e.Data.Message.From.Name; !slices.Contains(s.figures.Agents, name) {
		s.figures.Agents = append(s.figures.Agents, name)
	}
}

func (s *Statistics) onEnded(context.Context, bus.Event[webchatservice.EndedData]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures.Chats++
	s.asked = 0
}

var _ bus.Plugin = (*Statistics)(nil)
