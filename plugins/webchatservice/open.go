package webchatservice

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Chat is one chat of the visitor as a value, made of the commands and events of the service and of nothing else: what it
// does, any plugin could do. Its methods may be called at once from many goroutines, Lines by one at a time.
type Chat struct {
	client *bus.Client

	mu      sync.Mutex // guards what follows
	session string     // its id; "" until the session has started
	lines   []Message  // not yet given out
	over    bool       // nothing more comes
	err     error      // why, if that was not in order
	changed chan struct{}
	subs    []*bus.Subscription
}

// Open starts a chat and returns once the server has accepted it. client is the program's own, of any namespace. The error
// is that of [StartChat], or that of subscribing. Cancelling ctx after Open has returned does nothing.
//
// The chat is over when [Chat.Lines] ends. A program that is done before calls [Chat.End]. Restored sessions are not
// opened: they have the commands and events.
func Open(ctx context.Context, client *bus.Client, in StartChatIn) (*Chat, error) {
	c := &Chat{client: client, changed: make(chan struct{})}
	if err := c.subscribe(); err != nil {
		c.unsubscribe()
		return nil, fmt.Errorf("open a chat: %w", err)
	}
	if _, err := StartChat.Call(ctx, client, in); err != nil {
		c.unsubscribe()
		return nil, err
	}
	return c, nil
}

// subscribe follows the events of the session. Their handlers share the mailbox of the client, so they run in the order
// in which the events were published.
func (c *Chat) subscribe() error {
	return errors.Join(
		follow(c, Started, func(e StartedData) {
			if c.session == "" {
				c.session = e.SessionID
			}
		}),
		follow(c, MessageReceived, func(e MessageReceivedData) {
			if e.OldMessages || c.session == "" || e.SessionData.SessionID != c.session {
				return
			}
			for _, m := range e.Messages {
				if m.Type == chat.KindMessage || m.Type == chat.KindPushURL {
					c.lines = append(c.lines, m)
				}
			}
		}),
		follow(c, SessionMoved, func(struct{}) { c.finish(ErrSessionMoved) }),
		follow(c, Ended, func(e EndedData) {
			switch e.Reason {
			case EndLost, EndExpired:
				c.finish(fmt.Errorf("chat ended with reason %s: %w", e.Reason, chat.ErrEnded))
			default:
				c.finish(nil)
			}
		}),
	)
}

// follow has f, with the chat's lock held, take in what an event of it says.
func follow[T any](c *Chat, event bus.EventOf[T], f func(T)) error {
	sub, err := bus.Subscribe(c.client, event, func(_ context.Context, e bus.Event[T]) {
		c.mu.Lock()
		if !c.over {
			f(e.Data)
			close(c.changed)
			c.changed = make(chan struct{})
		}
		over := c.over
		c.mu.Unlock()
		if over {
			c.unsubscribe()
		}
	})
	if err == nil {
		c.mu.Lock()
		c.subs = append(c.subs, sub)
		c.mu.Unlock()
	}
	return err
}

// finish notes that nothing more comes. The lock is held. An end before the start is that of another session.
func (c *Chat) finish(err error) {
	if c.session != "" {
		c.over, c.err = true, err
	}
}

func (c *Chat) unsubscribe() {
	c.mu.Lock()
	subs := c.subs
	c.subs = nil
	c.mu.Unlock()
	for _, s := range subs {
		s.Unsubscribe()
	}
}

// Lines gives what is said in the chat, by others and by the visitor ([Message.Own]), in the order of the transcript, each
// line once: lines of the kinds Message and PushUrl. It begins with what no Lines has given yet, waits for more, and ends
// when the chat is over, when ctx ends, or with the loop. [Chat.Err] tells why. Lines that wait are kept in memory, as the
// transcript is.
func (c *Chat) Lines(ctx context.Context) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for {
			c.mu.Lock()
			changed, over := c.changed, c.over
			if len(c.lines) > 0 {
				m := c.lines[0]
				c.lines[0] = Message{}
				c.lines = c.lines[1:]
				c.mu.Unlock()
				if !yield(m) {
					return
				}
				continue
			}
			c.mu.Unlock()
			if over {
				return
			}
			select {
			case <-changed:
			case <-c.client.Context().Done():
				c.mu.Lock()
				if !c.over {
					c.over, c.err = true, bus.ErrStopped
				}
				c.mu.Unlock()
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// Err returns nil while the chat goes on and after it was ended in order, by either side. It returns an error that matches
// [chat.ErrEnded] when server and visitor had lost each other, [ErrSessionMoved] when another service has taken the
// session up, and [bus.ErrStopped] when the client was unloaded before the end.
func (c *Chat) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Say sends a line and returns when the server has it. The error is that of [SendMessage]: it says whether the line may
// have reached the server. When the chat is over it matches [ErrNoSession].
func (c *Chat) Say(ctx context.Context, text string) error {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over { // another chat may have begun since
		return failure(ErrNoSession, "sendMessage", nil, "")
	}
	_, err := SendMessage.Call(ctx, c.client, SendMessageIn{Message: text})
	return err
}

// End ends the chat and returns when the server knows. That it is over already is no error. Lines goes on until it has
// given the last ones. The error is that of [EndChat].
func (c *Chat) End(ctx context.Context) error {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over { // another chat may have begun since
		return nil
	}
	_, err := EndChat.Call(ctx, c.client, struct{}{})
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	return err
}
