package cometdsim

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// attached is the Bayeux sessions that get a chat's events. Guarded by the chat's lock.
type attached struct {
	list []*attachment
}

// attachment is one of them.
type attachment struct {
	session *session
	sent    int // so many events have been sent or were there before
}

type attachedKey struct{}

// attachments returns what is attached to a chat.
func attachments(tx *chatsim.Tx) *attached {
	a, ok := tx.Value(attachedKey{}).(*attached)
	if !ok {
		a = &attached{}
		tx.SetValue(attachedKey{}, a)
	}
	return a
}

// attach lets the session have what comes from now on.
func (h *Face) attach(tx *chatsim.Tx, b *session) {
	if tx.Ended() {
		return
	}
	detach(tx, b)
	all := attachments(tx)
	if h.opts.Quirks.NewestOnly {
		for len(all.list) > 0 {
			detach(tx, all.list[0].session)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	b.attached[tx.Chat()] = struct{}{}
	all.list = append(all.list, &attachment{session: b, sent: tx.Len()})
	tx.Connected()
}

// detach ends the attachment of a session. Without any the visitor counts as silent.
func detach(tx *chatsim.Tx, b *session) {
	all := attachments(tx)
	if i := slices.IndexFunc(all.list, func(a *attachment) bool { return a.session == b }); i >= 0 {
		all.list = slices.Delete(all.list, i, i+1)
		tx.Disconnected()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.attached, tx.Chat())
}

// unseen returns the events that the session has not had, and counts them as sent.
func (a *attachment) unseen(tx *chatsim.Tx) []chatsim.Event {
	events := slices.DeleteFunc(tx.After(a.sent), func(e chatsim.Event) bool { return e.Hidden })
	a.sent = tx.Len()
	return events
}

// Changed implements [chatsim.Face]: it sends what is new to every attached session.
func (h *Face) Changed(tx *chatsim.Tx) {
	all := attachments(tx)
	if len(all.list) == 0 {
		return
	}
	h.gms.Pushed(tx)
	for _, a := range all.list {
		events := a.unseen(tx)
		if len(events) == 0 && !tx.Ended() {
			continue
		}
		answer := h.gms.Answer(tx)
		h.gms.AddEvents(tx, answer, events)
		h.push(a.session, tx, answer)
	}
	if tx.Ended() {
		for len(all.list) > 0 {
			detach(tx, all.list[0].session)
		}
	}
}

// push delivers events that no operation of the session has asked for.
func (h *Face) push(b *session, tx *chatsim.Tx, a *gmssim.Answer) {
	c := tx.Chat()
	channel := chatChannel + c.Service()
	fault := h.host.TakeFault(chatsim.Request{Wire: Name, Op: chatsim.OpPush, Chat: c.ID()})
	if fault == nil {
		h.deliver(b, channel, a, &chatsim.Fault{})
		return
	}
	data := gmssim.Change(h.gms.Overlap(tx, a, fault.Overlap), fault).Delivery()
	if fault.Rewrite != nil {
		data = fault.Rewrite(data)
	}
	send := func() {
		b.deliver(channel, data)
		if fault.Repeat {
			b.deliver(channel, data)
		}
	}
	switch {
	case fault.Drop != chatsim.DropNever:
	case fault.Delay > 0:
		h.host.Later(fault.Delay, send)
	default:
		send()
	}
}
