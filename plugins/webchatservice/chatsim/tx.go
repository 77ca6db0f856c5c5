package chatsim

import (
	"sync"
	"time"
)

// Tx is a chat while it is locked, as faces work on it: all that is done in one Tx happens at once for everybody else.
// It is valid until the function that got it returns. The visitor's doings are methods of Tx; those of
// agents are methods of [Seat].
type Tx struct {
	chat *Chat
}

// Update calls f with the chat locked. What f adds to the chat is then told to the faces, see [Face]. f must not wait, and
// must not call methods of Chat, Seat or Server that look at this chat.
func (c *Chat) Update(f func(tx *Tx)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&Tx{c})
}

// Chat returns the chat.
func (tx *Tx) Chat() *Chat { return tx.chat }

// Value returns what SetValue has put under the key, nil if nothing. Keys are compared as those of a context are: use a
// type of one's own.
func (tx *Tx) Value(key any) any { return tx.chat.values[key] }

// SetValue keeps a value with the chat.
func (tx *Tx) SetValue(key, value any) {
	if tx.chat.values == nil {
		tx.chat.values = map[any]any{}
	}
	tx.chat.values[key] = value
}

// Ended reports whether the chat is over.
func (tx *Tx) Ended() bool { return tx.chat.ended }

// PutOut reports whether the chat is over because the server has put the visitor out: for silence, or for a wrong key.
func (tx *Tx) PutOut() bool { return tx.chat.putOut }

// Visitor returns the visitor as a participant.
func (tx *Tx) Visitor() Party { return tx.chat.visitor.export() }

// Async reports whether it is a long-lived chat.
func (tx *Tx) Async() bool { return tx.chat.async }

// Staffed reports whether an agent or supervisor that the visitor sees is there.
func (tx *Tx) Staffed() bool { return tx.chat.staffedLocked() }

// ClosesIn returns the time to the end of the chat after an idle alert; false without one.
func (tx *Tx) ClosesIn() (time.Duration, bool) {
	c := tx.chat
	if c.ended || c.idleUntil.IsZero() {
		return 0, false
	}
	return time.Until(c.idleUntil), true
}

// Len returns how many events there are, hidden ones included.
func (tx *Tx) Len() int { return len(tx.chat.all) }

// After returns the events that came after the first n, in order, hidden ones included. n is at most Len.
func (tx *Tx) After(n int) []Event { return export(tx.chat.all[n:]) }

// LastIndex returns the highest index given.
func (tx *Tx) LastIndex() int { return tx.chat.last }

// FromIndex returns the numbered events from an index on, in order, without those that [Chat.Forget] removed.
func (tx *Tx) FromIndex(index int) []Event {
	shown := tx.chat.shown
	i := len(shown)
	for i > 0 && shown[i-1].index >= index {
		i--
	}
	return export(shown[i:])
}

// Heard notes a sign of life of the visitor, which starts the silence limit again.
func (tx *Tx) Heard() { tx.chat.heardLocked() }

// Connected notes a connection of the visitor that lives: while there is one he is not silent. Each call needs one of
// Disconnected.
func (tx *Tx) Connected() { tx.chat.connections++ }

// Disconnected notes the end of a connection. With the last one the silence limit starts.
func (tx *Tx) Disconnected() {
	if tx.chat.connections--; tx.chat.connections == 0 {
		tx.chat.heardLocked()
	}
}

// Active notes that there is activity in the chat, which starts the idle times again.
func (tx *Tx) Active() { tx.chat.activeLocked() }

// Add adds an event of the visitor: of e count Type, Text, MessageType, Content, UserData and Attributes, which the
// chat takes over. A line or an address is activity; a line ends the visitor's typing.
func (tx *Tx) Add(e Event) {
	c := tx.chat
	switch e.Type {
	case Message:
		c.visitor.typing, c.visitor.preview = false, ""
		c.activeLocked()
	case PushURL:
		c.activeLocked()
	case TypingStarted, TypingStopped:
		c.visitor.typing, c.visitor.preview = e.Type == TypingStarted, e.Text
	}
	c.addLocked(&event{
		kind: e.Type, from: c.visitor, text: e.Text, format: e.MessageType, content: e.Content,
		userData: e.UserData, attributes: e.Attributes,
	})
}

// Preview notes what the visitor has typed and not sent.
func (tx *Tx) Preview(text string) {
	if c := tx.chat; !c.ended && c.visitor.preview != text {
		c.visitor.preview = text
		c.wakeLocked()
	}
}

// Rename changes the visitor's nickname.
func (tx *Tx) Rename(nickname string) {
	tx.chat.visitor.nickname = nickname
	tx.chat.addLocked(&event{kind: NicknameUpdated, from: tx.chat.visitor})
}

// Attach merges attached data.
func (tx *Tx) Attach(userData map[string]string) {
	if len(userData) == 0 {
		return
	}
	c := tx.chat
	if c.userData == nil {
		c.userData = map[string]string{}
	}
	for key, value := range userData {
		c.userData[key] = value
	}
	c.wakeLocked()
}

// Read notes that the visitor has read up to an index.
func (tx *Tx) Read(index int) {
	tx.chat.readUpTo = max(tx.chat.readUpTo, index)
	tx.chat.wakeLocked()
}

// End ends the chat.
func (tx *Tx) End(reason EndReason) {
	if reason == EndedByBadKey && !tx.chat.ended {
		tx.chat.putOut = true
	}
	tx.chat.endLocked(reason)
}

// Upload gives the visitor's file to everybody. Of f count Name, ContentType, Data and UserData, which the chat takes over.
func (tx *Tx) Upload(f File) File {
	tx.chat.activeLocked()
	return tx.chat.storeLocked(tx.chat.visitor, f).File
}

// File returns a file that has not been deleted. Its data are not to be changed.
func (tx *Tx) File(id string) (File, bool) {
	if f := tx.chat.findFile(id); f != nil {
		return f.File, true
	}
	return File{}, false
}

// DeleteFile deletes a file of the visitor's own. It reports whether there was one.
func (tx *Tx) DeleteFile(id string) bool {
	f := tx.chat.findFile(id)
	if f == nil || f.from != tx.chat.visitor {
		return false
	}
	tx.chat.deleteFileLocked(tx.chat.visitor, f)
	return true
}

// chatLock guards a chat. When it is given back, the faces are told of what has changed meanwhile.
type chatLock struct {
	sync.Mutex
	chat *Chat
}

func (l *chatLock) Unlock() {
	for c := l.chat; c.dirty; {
		c.dirty = false
		for _, f := range c.server.opts.Faces {
			f.Changed(&Tx{c})
		}
	}
	l.Mutex.Unlock()
}
