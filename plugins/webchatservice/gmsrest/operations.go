package gmsrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
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
		form := url.Values{"message": {a.Text}, "messageType": {label}}
		if attributes, err := c.attributes(a); err != nil {
			return chat.Receipt{}, gms.Invalid("send", err.Error())
		} else if attributes != "" {
			form.Set("eventAttributes", attributes)
		}
		return c.request(ctx, "send", "send", form, true)
	case chat.ActionEnd:
		// The position is for what was said since the last poll: after the end nobody can ask for it.
		return c.request(ctx, "end", "disconnect", nil, true)
	}
	return chat.Receipt{}, gms.Invalid("send", fmt.Sprintf("unknown action %d", a.Kind))
}

// attributes is what goes along with a line: the line that it answers, and the mark (see [gms.MarkGroup]).
func (c *conn) attributes(a chat.Action) (string, error) {
	groups := make(map[string]any)
	if a.ParentID != "" {
		groups["general-properties"] = map[string]string{"related-event-id": a.ParentID}
	}
	if a.ClientID != "" && c.d.mark {
		groups[gms.MarkGroup] = map[string]string{gms.MarkName: a.ClientID}
	}
	if len(groups) == 0 {
		return "", nil
	}
	text, err := json.Marshal(groups)
	return string(text), err
}

// Typing implements [chat.Typer].
func (c *conn) Typing(ctx context.Context, on bool, preview string) (chat.Receipt, error) {
	operation := "stopTyping"
	if on {
		operation = "startTyping"
	}
	return c.request(ctx, "typing", operation, url.Values{"message": {preview}}, true)
}

// UpdateUserData implements [chat.DataUpdater].
func (c *conn) UpdateUserData(ctx context.Context, data map[string]any) (chat.Receipt, error) {
	const op = "user data"
	form := url.Values{}
	if err := gms.UserData(form, data); err != nil {
		return chat.Receipt{}, gms.Invalid(op, err.Error())
	}
	if len(form) == 0 {
		return chat.Receipt{Confirmed: true}, nil
	}
	return c.request(ctx, op, "updateData", form, false)
}

// CustomNotice implements [chat.Notifier].
func (c *conn) CustomNotice(ctx context.Context, text string, attributes json.RawMessage) (chat.Receipt, error) {
	form := url.Values{"message": {text}}
	if len(attributes) > 0 {
		form.Set("eventAttributes", string(attributes))
	}
	return c.request(ctx, "notice", "customNotice", form, false)
}

// ResetIdle implements [chat.IdleResetter].
func (c *conn) ResetIdle(ctx context.Context) (chat.Receipt, error) {
	return c.CustomNotice(ctx, "", json.RawMessage(gms.CancelIdle))
}

// PushURL implements [chat.URLPusher].
func (c *conn) PushURL(ctx context.Context, address string) (chat.Receipt, error) {
	return c.request(ctx, "push URL", "pushUrl", url.Values{"pushUrl": {address}}, false)
}

// UpdateNickname implements [chat.Renamer].
func (c *conn) UpdateNickname(ctx context.Context, nickname string) (chat.Receipt, error) {
	return c.request(ctx, "nickname", "updateNickname", url.Values{"nickname": {nickname}}, false)
}

// MarkRead implements [chat.ReadMarker].
func (c *conn) MarkRead(ctx context.Context, upTo chat.Position) (chat.Receipt, error) {
	const op = "read receipt"
	last := gms.First(upTo) - 1
	if last == 0 { // nothing was read
		return chat.Receipt{Confirmed: true}, nil
	}
	form := make(url.Values)
	setPosition(form, last)
	return c.request(ctx, op, "readReceipt", form, false)
}

// Refetch implements [chat.Refetcher].
func (c *conn) Refetch(ctx context.Context, from, to chat.Position) ([]chat.Message, error) {
	const op = "refetch"
	unlock, e := c.lockSend(ctx, op)
	if e != nil {
		return nil, e
	}
	defer unlock()
	c.mu.Lock()
	first := c.transcript.After(from)
	c.mu.Unlock()
	form := make(url.Values) // without a preview: it would be taken for the visitor's
	setPosition(form, first)
	var found []chat.Message
	_, e = c.exchange(ctx, op, "refresh", form, func(a *gms.Answer) {
		if to == (chat.Position{}) {
			to = c.read
		}
		end := gms.First(to)
		if slices.ContainsFunc(a.Messages, func(m chat.Message) bool { return m.Index != 0 && !m.Own && c.transcript.New(&m) }) {
			c.pace.reset()
		}
		found = c.transcript.Extract(a, first, end)
		c.withdrawLocked(found)
	})
	if e != nil {
		return nil, e
	}
	return found, nil
}
