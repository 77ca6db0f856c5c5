package chatsim

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// Script plays the agents of one chat. It runs in a goroutine of its own from
// the start of the chat; it should return when ctx is done, which is when the
// chat has ended or the server is closed. Close of the server waits for it.
type Script func(ctx context.Context, c *Chat)

// Nobody is the script of a server whose chats nobody answers, but through
// the [Desk].
func Nobody(context.Context, *Chat) {}

// ScriptOptions changes the agents of [Scripted]. The zero value of each field
// is the default.
type ScriptOptions struct {
	// Agents are the agents' names, at least one; "transfer" goes to the
	// next, after the last comes the first. Default Ann and Bob.
	Agents []string
	// JoinDelay is the time from start to the first agent's joining.
	// Default 200 ms, negative for none.
	JoinDelay time.Duration
	// ReplyDelay is how long an agent types. Default 400 ms, negative for
	// none.
	ReplyDelay time.Duration
}

// Scripted returns the standard script, which other people's clients can rely
// on: an agent joins within 300 ms and greets with a line that contains
// "Hello". He answers every line of the visitor, in order, with "You said: "
// and the visitor's text unchanged, and types before he does. Then,
// if the text was "transfer", a second agent joins, the first leaves, and the
// second greets; if it was "file", the agent sends leaflet.txt; if it was
// "bye", the agent says goodbye and ends the chat.
// (Spaces around and the case of the three words do not matter.)
// Into a long-lived chat that he has left an agent comes back when the
// visitor writes again.
func Scripted(opts *ScriptOptions) Script {
	var o ScriptOptions
	if opts != nil {
		o = *opts
	}
	names := append([]string(nil), o.Agents...)
	if len(names) == 0 {
		names = []string{"Ann", "Bob"}
	}
	joinDelay := cmp.Or(o.JoinDelay, 200*time.Millisecond)
	replyDelay := cmp.Or(o.ReplyDelay, 400*time.Millisecond)

	return func(ctx context.Context, c *Chat) {
		a := actor{ctx: ctx, chat: c, names: names, delay: replyDelay}
		if a.pause(joinDelay) && a.enter() {
			a.serve()
		}
	}
}

// leaflet is the file that the standard script sends.
const leaflet = "Parcels arrive within two days. With the best wishes of your agents.\n"

// actor is a running standard script.
type actor struct {
	ctx   context.Context
	chat  *Chat
	names []string
	turn  int
	delay time.Duration
	seat  *Seat
}

// enter brings the agent in whose turn it is, with a greeting.
func (a *actor) enter() bool {
	seat, err := a.chat.Join(a.names[a.turn%len(a.names)], RoleAgent)
	if err != nil {
		return false
	}
	a.seat = seat
	_, err = seat.Say("Hello " + a.visitor() + ", my name is " + seat.Nickname() + ". How can I help you?")
	return err == nil
}

func (a *actor) serve() {
	for n := 0; ; n++ {
		e, err := a.chat.Next(a.ctx, n)
		if err != nil {
			return
		}
		if e.Type != Message || e.From.Type != Client {
			continue
		}
		if a.seat == nil && !a.enter() {
			return
		}
		if !a.answer(e.Text) {
			return
		}
	}
}

// answer does what a line of the visitor asks for. It reports whether the chat
// goes on.
func (a *actor) answer(text string) bool {
	if !a.say("You said: " + text) {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "transfer":
		return a.transfer()
	case "file":
		_, err := a.seat.SendFile("leaflet.txt", "text/plain; charset=utf-8", []byte(leaflet))
		return err == nil
	case "bye":
		if !a.say("Goodbye, " + a.visitor() + ".") {
			return false
		}
		if a.seat.End() != nil || !a.chat.async {
			return false
		}
		a.seat = nil
	}
	return true
}

func (a *actor) transfer() bool {
	first := a.seat
	a.turn++
	second, err := a.chat.Join(a.names[a.turn%len(a.names)], RoleAgent)
	if err != nil {
		return false
	}
	if first.Leave() != nil {
		return false
	}
	a.seat = second
	return a.say("Hello " + a.visitor() + ", this is " + second.Nickname() + ". I take over from " + first.Nickname() + ".")
}

// say types, then sends.
func (a *actor) say(text string) bool {
	if _, err := a.seat.Type(""); err != nil {
		return false
	}
	if !a.pause(a.delay) {
		return false
	}
	_, err := a.seat.Say(text)
	return err == nil
}

func (a *actor) pause(d time.Duration) bool {
	if d <= 0 {
		return a.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}

func (a *actor) visitor() string {
	a.chat.mu.Lock()
	defer a.chat.mu.Unlock()
	return a.chat.visitor.nickname
}
