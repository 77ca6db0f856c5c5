package gmscometd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// How long what settles a request is waited for once Bayeux has taken it.
const (
	// endGrace: a client that leaves at once may lose the chat's end (wire-gms B.3).
	endGrace = 2 * time.Second
	// lineGrace is for requests whose line the server may keep to itself.
	lineGrace = time.Second
	// typingGrace is short, since lines wait for it.
	typingGrace = 250 * time.Millisecond
)

// Send implements [chat.Conn].
func (c *conn) Send(ctx context.Context, a chat.Action) (chat.Receipt, error) {
	switch a.Kind {
	case chat.ActionMessage:
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
		f := newFlight("send")
		f.match = func(m chat.Message) bool {
			if m.ClientID != "" {
				return m.ClientID == a.ClientID
			}
			return m.Kind == chat.KindMessage && m.Text == a.Text
		}
		return result(c.operate(ctx, f, "sendMessage", fields, 0))
	case chat.ActionEnd:
		f := newFlight("end")
		f.end = true
		return result(c.operate(ctx, f, "disconnect", nil, endGrace))
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
	f := newFlight("typing")
	f.answers, f.match = true, func(m chat.Message) bool { return m.Kind == kind }
	return result(c.operate(ctx, f, operation, map[string]any{"message": preview}, typingGrace))
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
	f := newFlight(op)
	f.answers = true
	return result(c.operate(ctx, f, "updateData", map[string]any{"userData": texts}, lineGrace))
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
	f := newFlight(op)
	f.match = func(m chat.Message) bool { return m.Kind == chat.KindCustomNotice && m.Text == text }
	return result(c.operate(ctx, f, "customNotice", fields, lineGrace))
}

// PushURL implements [chat.URLPusher].
func (c *conn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	f := newFlight("push URL")
	f.match = func(m chat.Message) bool { return m.Kind == chat.KindPushURL && m.Text == address }
	return result(c.operate(ctx, f, "pushUrl", map[string]any{"pushUrl": address}, 0))
}

// UpdateNickname implements [chat.Renamer].
func (c *conn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	f := newFlight("nickname")
	f.match = func(m chat.Message) bool { return m.Kind == chat.KindNicknameUpdated && m.From.Name == nickname }
	return result(c.operate(ctx, f, "updateNickname", map[string]any{"nickname": nickname}, 0))
}

// MarkRead implements [chat.ReadMarker].
func (c *conn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	if upTo.Index <= 1 { // nothing was read
		return chat.Receipt{Confirmed: true}, nil
	}
	f := newFlight("read receipt")
	f.answers = true
	return result(c.operate(ctx, f, "readReceipt", map[string]any{"transcriptPosition": upTo.Index - 1}, lineGrace))
}

// Refetch implements [chat.Refetcher].
func (c *conn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	f := newFlight("refetch")
	f.fetch = &fetch{first: max(from.Index, 1), end: to.Index}
	// Without a preview: it would be taken for the visitor's.
	if _, e := c.operate(ctx, f, "refresh", map[string]any{"transcriptPosition": f.fetch.first}, 0); e != nil {
		return nil, e
	}
	return f.fetch.found, nil
}

var (
	_ chat.Typer       = (*conn)(nil)
	_ chat.DataUpdater = (*conn)(nil)
	_ chat.Notifier    = (*conn)(nil)
	_ chat.URLPusher   = (*conn)(nil)
	_ chat.Renamer     = (*conn)(nil)
	_ chat.ReadMarker  = (*conn)(nil)
	_ chat.Refetcher   = (*conn)(nil)
)
