package bayeux

import (
	"context"
	"fmt"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// waiter waits for the reply to one message.
type waiter struct {
	reply chan *message    // cap 1
	dead  chan *chat.Error // cap 1: why there will be no reply
	wrote bool             // the message may have left
}

// request sends a unit on the websocket, and waits within limit for the replies to its messages, which have these ids.
func (s *socket) request(ctx context.Context, op string, unit []byte, ids []string, limit time.Duration) ([]*message, *chat.Error) {
	waiters := make([]*waiter, len(ids))
	s.mu.Lock()
	if s.dead != nil {
		e := *s.dead
		s.mu.Unlock()
		e.Op, e.Outcome, e.Err = op, chat.NotSent, ErrLinkBroken
		return nil, &e
	}
	if s.pending == nil {
		s.pending = make(map[string]*waiter, 1)
	}
	for i, id := range ids {
		waiters[i] = &waiter{reply: make(chan *message, 1), dead: make(chan *chat.Error, 1)}
		s.pending[id] = waiters[i]
	}
	s.mu.Unlock()
	s.send(frame{data: unit, ids: ids})
	s.relieve() // somebody has to read the replies
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var replies []*message
	var e *chat.Error
	for _, w := range waiters {
		select {
		case r := <-w.reply:
			replies = append(replies, r)
			continue
		case e = <-w.dead:
			e.Op = op
		case <-ctx.Done():
			e = &chat.Error{Code: chat.CodeCanceled, Op: op, Text: "given up while waiting for the answer", Err: context.Cause(ctx)}
		case <-timer.C:
			e = &chat.Error{
				Code: chat.CodeTimeout, Op: op, Text: fmt.Sprintf("the server did not answer within %v", limit),
				Hint: "check the network, or raise " + s.c.names.Timeout,
			}
		}
		break
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wrote := true
	for i, w := range waiters {
		wrote = wrote && w.wrote
		delete(s.pending, ids[i])
	}
	if len(s.pending) == 0 {
		s.pending = nil
	}
	if e == nil {
		return replies, nil
	}
	if !wrote { // the unit is still in the queue, and is taken out
		e.Outcome = chat.NotSent
		for i := range s.queue {
			if len(s.queue[i].ids) > 0 && s.queue[i].ids[0] == ids[0] {
				s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
				break
			}
		}
	}
	return nil, e
}

// answered hands a reply to whoever waits for it, and reports whether somebody does.
func (s *socket) answered(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.pending[m.id]
	if w == nil {
		return false
	}
	delete(s.pending, m.id)
	w.reply <- m.keep()
	return true
}
