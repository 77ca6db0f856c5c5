package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// optional limits the waits for what a server need not do: greet, or send a second agent.
const optional = 5 * time.Second

// conversation is a chat that runs by itself: one visitor, his lines, and whoever answers. It takes its
// pace from the events.
type conversation struct {
	program  *program
	trace    *trace
	stack    *stack // of the moment: see restart
	who      webchatservice.StartChatIn
	started  bool
	patience time.Duration // for an agent who does not come, or does not answer
}

// act is a part of a conversation. It leaves off without an error when the conversation is over.
type act func(ctx context.Context) error

// errNobody is returned when no agent comes.
type errNobody struct{ after time.Duration }

func (e *errNobody) Error() string {
	return fmt.Sprintf("no agent joined within %v; --patience sets how long to wait", e.after)
}

// note says in words what comes next.
func (c *conversation) note(name, text string) { c.trace.note(c.stack.options.namespace, name, text) }

// play starts the chat and plays the acts. When ctx ends it returns errInterrupted at once, with the chat
// still there; see endChat.
func (c *conversation) play(ctx context.Context, acts []act) error {
	c.note("chat", "Vera starts a chat, and an agent joins.")
	place := c.stack.events.now()
	if err := startChat(ctx, c.trace, c.stack.client, c.who); err != nil {
		return err
	}
	c.started = true
	if !c.welcome(ctx, place, c.patience) && !c.over(ctx) {
		return &errNobody{c.patience}
	}
	for _, play := range acts {
		if c.over(ctx) {
			break
		}
		if err := play(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

// line is the act of saying a line.
func (c *conversation) line(text string) act {
	return func(ctx context.Context) error { return c.say(ctx, text) }
}

// say sends a line as a person does and waits for the answer.
func (c *conversation) say(ctx context.Context, text string) error {
	place := c.stack.events.now()
	_, err := call(ctx, c.trace, c.stack.client, webchatservice.SendTyping, webchatservice.SendTypingIn{Message: text})
	if err != nil && !errors.Is(err, webchatservice.ErrNoTyping) && !c.over(ctx) {
		return err
	}
	_, err = call(ctx, c.trace, c.stack.client, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: text})
	if err != nil {
		if c.over(ctx) { // ended from the other side, or Ctrl-C
			return nil
		}
		return err
	}
	// The scripted agent obeys two lines; others may.
	switch strings.ToLower(strings.TrimSpace(text)) {
	case transferLine:
		if c.welcome(ctx, place, min(c.patience, optional)) {
			return nil
		}
	case byeLine:
		c.wait(ctx, place, min(c.patience, optional), isEvent(webchatservice.Ended.Name()))
		return nil
	}
	c.wait(ctx, place, c.patience, agentSays)
	return nil
}

// agentSays accepts events with a line of an agent.
func agentSays(e bus.Event[any]) bool {
	return says(func(f webchatservice.From) bool { return f.Type == chat.RoleAgent })(e)
}

// welcome waits for an agent and for his greeting, and reports whether one came. Servers differ in
// whether agents greet.
func (c *conversation) welcome(ctx context.Context, place int, patience time.Duration) bool {
	var agent webchatservice.From
	place, came := c.wait(ctx, place, patience, func(e bus.Event[any]) bool {
		d, _ := e.Data.(webchatservice.ParticipantData)
		agent = d.Message.From
		return e.Name() == webchatservice.AgentConnected.Name()
	})
	if came {
		c.wait(ctx, place, min(patience, optional), says(func(f webchatservice.From) bool { return f == agent }))
	}
	return came
}

// wait waits for an event, but not beyond the end of the chat. It returns the place after it.
func (c *conversation) wait(ctx context.Context, place int, patience time.Duration, match func(bus.Event[any]) bool) (int, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended := isEvent(webchatservice.Ended.Name())
	matched := false
	next, ok := c.stack.events.await(ctx, place, func(e bus.Event[any]) bool {
		matched = match(e)
		return matched || ended(e)
	})
	return next, ok && matched
}

// over reports whether there is nothing more to say: the chat has ended, or ctx has.
func (c *conversation) over(ctx context.Context) bool {
	return ctx.Err() != nil || c.stack.events.has(webchatservice.Ended.Name())
}

// startChat starts a chat. When ctx ends it returns errInterrupted at once; the service sees to it
// that no chat stays behind.
func startChat(ctx context.Context, t *trace, client *bus.Client, who webchatservice.StartChatIn) error {
	_, err := call(ctx, t, client, webchatservice.StartChat, who)
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// endChat ends the chat, if there is one, and waits until that has gone round. It is not cut short by
// the end of ctx, as it is what Ctrl-C is answered with.
func endChat(ctx context.Context, t *trace, client *bus.Client, events *watch) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if events.has(webchatservice.Ended.Name()) {
		return nil
	}
	_, err := call(ctx, t, client, webchatservice.EndChat, struct{}{})
	if errors.Is(err, webchatservice.ErrNoSession) {
		return nil
	}
	if err == nil {
		events.await(ctx, 0, isEvent(webchatservice.Ended.Name()))
	}
	return err
}

// says accepts events with a line of text by one whom who accepts.
func says(who func(webchatservice.From) bool) func(bus.Event[any]) bool {
	return func(e bus.Event[any]) bool {
		d, _ := e.Data.(webchatservice.MessageReceivedData)
		return slices.ContainsFunc(d.Messages, func(m webchatservice.Message) bool {
			return m.Type == chat.KindMessage && who(m.From)
		})
	}
}
