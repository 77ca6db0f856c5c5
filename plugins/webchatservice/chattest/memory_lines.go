package chattest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// memoryLine is a line of a transcript; Memory.mu guards it.
type memoryLine struct {
	chat.Message // as it is given out, but for what a connection says of its place
	number       int64
	arrives      time.Time // when it reaches the connections
	withheld     bool      // in the transcript, but not given out
	forgotten    bool      // nowhere any more
}

// appendLocked adds a line to the transcript of c.
func (m *Memory) appendLocked(c *memoryChat, msg chat.Message) *memoryLine {
	number := int64(len(c.lines) + 1)
	name := fmt.Sprintf("line-%d", number)
	now := time.Now()
	msg.Time = now.UTC().Truncate(time.Millisecond)
	raw := map[string]any{
		"type": msg.Kind, "text": msg.Text, "messageType": msg.Label, "utcTime": msg.Time.UnixMilli(),
		"from": map[string]any{"nickname": msg.From.Name, "participantId": msg.From.ID, "type": msg.From.Role},
	}
	if m.opts.IDs || m.opts.Echo {
		msg.ID, raw["id"] = name, name
		c.numbers[name] = number
	}
	if m.opts.IDs {
		msg.Position = chat.Position{ID: name}
	} else {
		msg.Index, msg.Position, raw["index"] = number, chat.Position{Index: number + 1}, number
	}
	var err error
	if msg.Raw, err = json.Marshal(raw); err != nil {
		panic(fmt.Sprintf("chattest: a line of plain strings and numbers does not encode: %v", err))
	}
	line := memoryLine{Message: msg, number: number, arrives: now}
	switch {
	case c.forget > 0:
		c.forget--
		line.forgotten = true
	case c.withhold > 0:
		c.withhold--
		line.withheld = true
	case c.hold > 0:
		c.hold--
		line.arrives = now.Add(c.held)
	}
	c.lines = append(c.lines, line)
	m.wakeLocked()
	return &c.lines[number-1]
}

// placeLocked is where a reader stands after the line of that number.
func (c *memoryChat) placeLocked(number int64) chat.Position {
	if number < 1 {
		return chat.Position{}
	}
	return c.lines[number-1].Position
}

// numberLocked is the number of the line at p: 0 for the beginning, and for a place that the chat does not have.
func (c *memoryChat) numberLocked(p chat.Position) int64 {
	number := c.numbers[p.ID]
	if p.ID == "" && p.Index > 0 {
		number = p.Index - 1
	}
	if number > int64(len(c.lines)) {
		return 0
	}
	return number
}

// gapLocked names the lines from first to last, if there are any.
func (m *Memory) gapLocked(first, last int64) *chat.Gap {
	switch {
	case first > last:
		return nil
	case m.opts.IDs:
		return &chat.Gap{}
	}
	return &chat.Gap{First: first, Last: last}
}

// Withhold keeps the next n lines of the chat from Receive: the transcript has them, and Refetch and Resume
// bring them.
func (m *Memory) Withhold(chatID string, n int) {
	m.change(chatID, func(c *memoryChat) { c.withhold = n })
}

// Release gives out what was withheld: late.
func (m *Memory) Release(chatID string) {
	m.change(chatID, func(c *memoryChat) {
		for i := range c.lines {
			c.lines[i].withheld = false
		}
	})
}

// Forget loses the next n lines of the chat for good: they have their places, and nothing brings them.
func (m *Memory) Forget(chatID string, n int) {
	m.change(chatID, func(c *memoryChat) { c.forget = n })
}

// Hold lets the next n lines of the chat reach its connections only after d, so that others overtake them.
func (m *Memory) Hold(chatID string, n int, d time.Duration) {
	m.change(chatID, func(c *memoryChat) { c.hold, c.held = n, d })
}

// AgentOffer sends a line of an agent with structured content.
func (m *Memory) AgentOffer(chatID, name, text string, content *chat.Content) {
	m.change(chatID, func(c *memoryChat) {
		if !c.ended {
			m.appendLocked(c, chat.Message{Kind: chat.KindMessage, From: c.partyLocked(name, chat.RoleAgent), Text: text, Content: content})
		}
	})
}

// memoryReader is where a connection stands in the transcript; Memory.mu guards it.
type memoryReader struct {
	m     *Memory
	c     *memoryChat
	first int64          // number of the first line that is wanted
	known int64          // number of the last line that the reader had before
	live  int64          // lines from here on were not there when the connection was made
	low   int64          // no line before this number is given out any more
	high  int64          // the highest number that was given out
	given map[int64]bool // what was given out, by Receive or Refetch
}

// position is where the reader stands.
func (k *memoryReader) position() chat.Position { return k.c.placeLocked(k.high) }

// before is the number of the line before that number that was given out; those before the first count as given.
func (k *memoryReader) before(number int64) int64 {
	for number--; number >= k.first && !k.given[number]; number-- {
	}
	return number
}

// next returns the lines that are to be given out now, and how long to wait for more that are on their way; 0 when
// there are none.
func (k *memoryReader) next(now time.Time) (lines []chat.Message, wait time.Duration) {
	soon := func(d time.Duration) {
		if d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	missed := false // a line is on its way that belongs before the ones that follow
	for n := k.low; n <= int64(len(k.c.lines)); n++ {
		l := &k.c.lines[n-1]
		settled := k.given[n] || l.forgotten
		if settled || l.withheld && n >= k.live {
			if settled && n == k.low {
				k.low++
			}
			continue
		}
		if d := l.arrives.Sub(now); d > 0 {
			soon(d)
			missed = true
			continue
		}
		if d := l.arrives.Add(k.m.opts.Window).Sub(now); missed && d > 0 {
			soon(d)
			break
		}
		lines = append(lines, k.give(l, missed))
	}
	return lines, wait
}

// give gives out a line. overtaking: others before it are on their way, so that nobody misses them.
func (k *memoryReader) give(l *memoryLine, overtaking bool) chat.Message {
	msg, before := l.Message, k.before(l.number)
	msg.Known = l.number <= k.known
	if l.number < k.high {
		behind := k.c.placeLocked(before)
		msg.Behind = &behind
	} else if !overtaking {
		msg.Missing = k.m.gapLocked(max(before, k.known)+1, l.number-1)
	}
	k.given[l.number] = true
	k.high = max(k.high, l.number)
	return msg
}

// refetch returns the lines behind from, up to and including that at to.
func (k *memoryReader) refetch(from, to int64) (found []chat.Message) {
	for n := from + 1; n <= to; n++ {
		l := &k.c.lines[n-1]
		if l.forgotten {
			continue
		}
		msg, before := l.Message, max(k.before(n), from)
		behind := k.c.placeLocked(before)
		msg.Behind, msg.Missing, msg.Known = &behind, k.m.gapLocked(before+1, n-1), n <= k.known
		k.given[n] = true
		found = append(found, msg)
	}
	return found
}

// history returns the page of n lines before that number.
func (k *memoryReader) history(before int64, n int) (p chat.Page) {
	first := max(before-int64(n), 1)
	p.Oldest, p.Beginning = k.c.placeLocked(first), first == 1
	for i := first; i < before; i++ {
		if l := &k.c.lines[i-1]; !l.forgotten {
			p.Messages = append(p.Messages, l.Message)
		}
	}
	return p
}
