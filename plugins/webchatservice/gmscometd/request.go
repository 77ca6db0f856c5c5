package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// How long to wait for what settles a request once Bayeux has taken it.
const (
	// endGrace is for the end: a client that leaves at once may lose the chat's last lines (wire-gms B.3).
	endGrace = 2 * time.Second
	// lineGrace is for requests whose line the server may keep to itself.
	lineGrace = time.Second
	// typingGrace is short, because the visitor's lines wait for it.
	typingGrace = 250 * time.Millisecond
)

// Send implements [chat.Conn].
func (c *conn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	switch a.Kind {
	case chat.ActionMessage:
		if a.Reply != nil {
			return chat.Receipt{}, chat.Unsupported("send")
		}
		label := a.MessageType
		if label == "" {
			label = "text"
		}
		fields := map[string]any{"message": a.Text, "messageType": label}
		groups := make(map[string]any)
		if a.ParentID != "" {
			groups["general-properties"] = map[string]string{"related-event-id": a.ParentID}
		}
		if a.ClientID != "" && c.d.mark {
			groups[gms.MarkGroup] = map[string]string{gms.MarkName: a.ClientID}
		}
		if len(groups) > 0 {
			fields["eventAttributes"] = groups
		}
		p := newPending("send")
		p.match = func(m chat.Message) bool {
			if m.ClientID != "" {
				return m.ClientID == a.ClientID
			}
			return m.Kind == chat.KindMessage && m.Text == a.Text
		}
		return result(c.operate(ctx, p, "sendMessage", fields, 0))
	case chat.ActionEnd:
		p := newPending("end")
		p.end = true
		return result(c.operate(ctx, p, "disconnect", nil, endGrace))
	}
	return chat.Receipt{}, gms.Invalid("send", fmt.Sprintf("unknown action %d", a.Kind))
}

// result keeps a nil error nil.
func result(r chat.Receipt, e *chat.Error) (chat.Receipt, error) {
	if e != nil {
		return chat.Receipt{}, e
	}
	return r, nil
}

// Typing implements [chat.Typer].
func (c *conn) Typing(ctx context.Context, on bool, preview string) (chat.Receipt, error) {
	operation, kind := "stopTyping", chat.KindTypingStopped
	if on {
		operation, kind = "startTyping", chat.KindTypingStarted
	}
	p := newPending("typing")
	p.answers, p.match = true, func(m chat.Message) bool { return m.Kind == kind }
	return result(c.operate(ctx, p, operation, map[string]any{"message": preview}, typingGrace))
}

// UpdateUserData implements [chat.DataUpdater].
func (c *conn) UpdateUserData(ctx context.Context, data map[string]any) (chat.Receipt, error) {
	const op = "user data"
	texts, err := gms.Texts(data)
	if err != nil {
		return chat.Receipt{}, gms.Invalid(op, err.Error())
	}
	if len(texts) == 0 {
		return chat.Receipt{Confirmed: true}, nil
	}
	p := newPending(op)
	p.answers = true
	return result(c.operate(ctx, p, "updateData", map[string]any{"userData": texts}, lineGrace))
}

// CustomNotice implements [chat.Notifier].
func (c *conn) CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (chat.Receipt, error) {
	const op = "notice"
	fields := map[string]any{"message": text}
	if len(attributes) > 0 {
		if !json.Valid(attributes) {
			return chat.Receipt{}, gms.Invalid(op, "the attributes are not JSON")
		}
		fields["eventAttributes"] = attributes
	}
	p := newPending(op)
	p.match = func(m chat.Message) bool { return m.Kind == chat.KindCustomNotice && m.Text == text }
	return result(c.operate(ctx, p, "customNotice", fields, lineGrace))
}

// ResetIdle implements [chat.IdleResetter].
func (c *conn) ResetIdle(ctx context.Context) (chat.Receipt, error) {
	return c.CustomNotice(ctx, "", json.RawMessage(gms.CancelIdle))
}

// PushURL implements [chat.URLPusher].
func (c *conn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	p := newPending("push URL")
	p.match = func(m chat.Message) bool { return m.Kind == chat.KindPushURL && m.Text == address }
	return result(c.operate(ctx, p, "pushUrl", map[string]any{"pushUrl": address}, 0))
}

// UpdateNickname implements [chat.Renamer].
func (c *conn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	p := newPending("nickname")
	p.match = func(m chat.Message) bool { return m.Kind == chat.KindNicknameUpdated && m.From.Name == nickname }
	return result(c.operate(ctx, p, "updateNickname", map[string]any{"nickname": nickname}, 0))
}

// MarkRead implements [chat.ReadMarker].
func (c *conn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	last := gms.First(upTo) - 1
	if last == 0 { // nothing was read
		return chat.Receipt{Confirmed: true}, nil
	}
	p := newPending("read receipt")
	p.answers = true
	return result(c.operate(ctx, p, "readReceipt", map[string]any{"transcriptPosition": last}, lineGrace))
}

// Refetch implements [chat.Refetcher].
func (c *conn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	c.mu.Lock()
	first := c.transcript.After(from)
	c.mu.Unlock()
	end := int64(0)
	if to != (chat.Position{}) {
		end = gms.First(to)
	}
	return c.fetchLines(ctx, "refetch", first, end)
}

// History implements [chat.Historian].
func (c *conn) History(ctx context.Context, before chat.Position, n int) (chat.Page, error) {
	c.mu.Lock()
	first, end := c.transcript.Page(before, n)
	c.mu.Unlock()
	if first == end { // there is nothing before
		return chat.Page{Beginning: true}, nil
	}
	lines, err := c.fetchLines(ctx, "history", first, end)
	if err != nil {
		return chat.Page{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transcript.Older(lines, first), nil
}

// fetchLines asks for the lines from first on and before end; end 0 is where the reader stands.
func (c *conn) fetchLines(ctx context.Context, op string, first, end int64) ([]chat.Message, error) {
	p := newPending(op)
	p.fetch = &fetch{first: first, end: end}
	// It has no preview, which would be taken for the visitor's.
	if _, e := c.operate(ctx, p, "refresh", map[string]any{"transcriptPosition": p.fetch.first}, 0); e != nil {
		return nil, e
	}
	return p.fetch.found, nil
}

var (
	_ chat.Explainer   = (*conn)(nil)
	_ chat.Typer       = (*conn)(nil)
	_ chat.DataUpdater = (*conn)(nil)
	_ chat.Notifier    = (*conn)(nil)
	_ chat.URLPusher   = (*conn)(nil)
	_ chat.Renamer     = (*conn)(nil)
	_ chat.ReadMarker  = (*conn)(nil)
	_ chat.Refetcher   = (*conn)(nil)
	_ chat.Historian   = (*conn)(nil)

	_ chat.IdleResetter = (*conn)(nil)
)
