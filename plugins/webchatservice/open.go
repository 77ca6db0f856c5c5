package webchatservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Chat is one chat of the visitor as a value, made of the commands and events of the service and of nothing else: what
// it does, any plugin could do. Its methods may be called at once from many goroutines, Lines by one at a time.
type Chat struct {
	client *bus.Client

	mu      sync.Mutex // guards what follows
	session string     // its id; "" until the session has started
	lines   []Message  // not yet given out
	over    bool       // nothing more comes
	err     error      // why, if that was not in order
	changed chan struct{}
	sub     *bus.Subscription
}

// Open starts a chat and returns once the server has accepted it. client is the program's own, of any namespace. The
// error is that of [StartChat], or that of subscribing. Cancelling ctx after Open has returned does nothing. A handler
// of client may open a chat and wait for its lines: they do not pass the mailbox of the client's handlers.
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

// subscribe follows the events of the session, in one subscription, so in the order in which they were published. It
// has a mailbox of its own: a handler of the client may wait for the chat's lines.
func (c *Chat) subscribe() error {
	sub, err := c.client.Subscribe(Namespace+".*", func(_ context.Context, e bus.Event[any]) { c.take(e) }, bus.OwnMailbox())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sub = sub
	return nil
}

// take takes in what an event says.
func (c *Chat) take(e bus.Event[any]) {
	c.mu.Lock()
	switch e.Name() {
	case Started.Name():
		if c.session == "" {
			c.session = payloadOf[StartedData](e).SessionID
		}
	case MessageReceived.Name():
		c.addLocked(payloadOf[MessageReceivedData](e))
	case SessionMoved.Name():
		c.finishLocked(ErrSessionMoved)
	case Ended.Name():
		var err error
		if reason := payloadOf[EndedData](e).Reason; reason == EndLost || reason == EndExpired {
			err = fmt.Errorf("chat ended with reason %s: %w", reason, chat.ErrEnded)
		}
		c.finishLocked(err)
	}
	over := c.over
	c.mu.Unlock()
	if over {
		c.unsubscribe()
	}
}

// payloadOf returns what e carries. What came from elsewhere may be plain data.
func payloadOf[T any](e bus.Event[any]) (v T) {
	v, ok := e.Data.(T)
	if !ok {
		if raw, err := json.Marshal(e.Data); err == nil {
			_ = json.Unmarshal(raw, &v) // what does not fit says nothing
		}
	}
	return v
}

// addLocked takes in the lines of an event.
func (c *Chat) addLocked(d MessageReceivedData) {
	if c.over || d.OldMessages || c.session == "" || d.SessionData.SessionID != c.session {
		return
	}
	for _, m := range d.Messages {
		if m.Type == chat.KindMessage || m.Type == chat.KindPushURL {
			c.lines = append(c.lines, m)
		}
	}
	c.notifyLocked()
}

// finishLocked notes that nothing more comes. An end before the start is that of another session.
func (c *Chat) finishLocked(err error) {
	if c.session != "" && !c.over {
		c.over, c.err = true, err
		c.notifyLocked()
	}
}

// notifyLocked wakes those who wait for a change.
func (c *Chat) notifyLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Chat) unsubscribe() {
	c.mu.Lock()
	sub := c.sub
	c.sub = nil
	c.mu.Unlock()
	if sub != nil {
		sub.Unsubscribe()
	}
}

// Lines gives what is said in the chat, by others and by the visitor ([Message.Own]), in the order of the transcript,
// each line once: lines of the kinds Message and PushUrl. It begins with what no Lines has given yet, waits for more,
// and ends when the chat is over, when ctx ends, or with the loop. [Chat.Err] tells why. Lines that wait are kept in
// memory, as the transcript is.
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

// Err returns nil while the chat goes on and after it was ended in order, by either side. It returns an error that
// matches [chat.ErrEnded] when server and visitor had lost each other, [ErrSessionMoved] when another service has taken
// the session up, and [bus.ErrStopped] when the client was unloaded before the end.
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
