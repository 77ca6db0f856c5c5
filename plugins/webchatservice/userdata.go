package webchatservice

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The commands on what is attached to a session, for the agent and for routing (webchatservice 3).
var (
	UpdateUserData = bus.NewCommand[map[string]any, UpdateUserDataOut](Namespace+".updateUserData",
		"Merges data into what is attached to the session, or to the next one.")
	UpdateInteractionData = bus.NewCommand[map[string]any, map[string]any](Namespace+".updateInteractionData",
		"Merges routing and journey data over what the next session starts with.")
	SendCustomNotice = bus.NewCommand[SendCustomNoticeIn, Answer](Namespace+".sendCustomNotice",
		"Sends a notice to the agent's software, which must know what to do with it.")
)

// UpdateUserDataOut is what updateUserData resolves with.
type UpdateUserDataOut struct {
	Answer
	// UserData is the merged data, as the next session will start with it.
	UserData map[string]any `json:"userData"`
}

// SendCustomNoticeIn are the options of sendCustomNotice.
type SendCustomNoticeIn struct {
	Message string `json:"message,omitempty"` // for the agent's software
	// EventAttributes is a JSON object that goes along; the vendor's command has none.
	EventAttributes json.RawMessage `json:"eventAttributes,omitempty"`
}

func (s *Service) updateUserData(ctx context.Context, data map[string]any) (out UpdateUserDataOut, err error) {
	if data, err = plainData(data); err != nil {
		return out, failure(bus.ErrWrongType, "updateUserData", err, "want plain data")
	}
	ses, _ := s.live("updateUserData")
	if ses != nil {
		updater, ok := ability[chat.DataUpdater](ses.conn, func(c chat.Capabilities) bool { return c.UserData })
		if !ok {
			return out, cannot(ses.conn, ErrNoUserData, "updateUserData", "update data")
		}
		ses.wake(ctx, false)
		out.Answer, err = ses.request(ctx, "updateUserData", func(ctx context.Context) (chat.Receipt, error) {
			return updater.UpdateUserData(ctx, data)
		})
		if err != nil {
			return out, err
		}
	}
	defer s.deps.events.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.userData = merged(s.userData, data)
	out.UserData = merged(s.cfg.UserData, s.userData)
	s.deps.pushUserData(out.UserData)
	return out, nil
}

func (s *Service) updateInteractionData(_ context.Context, data map[string]any) (map[string]any, error) {
	if _, err := s.live("updateInteractionData"); err == nil {
		return nil, failure(ErrNoInteractionData, "updateInteractionData", nil, "")
	}
	data, err := plainData(data)
	if err != nil {
		return nil, failure(bus.ErrWrongType, "updateInteractionData", err, "want plain data")
	}
	defer s.deps.events.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routing = merged(s.routing, data)
	all := merged(s.cfg.Transport.InteractionData, s.routing)
	s.deps.events.push(dataOf(DataInteractionData, s.deps.hooks.maskMap(all)))
	return all, nil
}

func (s *Service) sendCustomNotice(ctx context.Context, in SendCustomNoticeIn) (Answer, error) {
	ses, err := s.live("sendCustomNotice")
	if err != nil {
		return Answer{}, err
	}
	n, ok := ability[chat.Notifier](ses.conn, func(c chat.Capabilities) bool { return c.Notices })
	if !ok {
		return Answer{}, cannot(ses.conn, ErrNoNotice, "sendCustomNotice", "notice")
	}
	ses.wake(ctx, false)
	return ses.request(ctx, "sendCustomNotice", func(ctx context.Context) (chat.Receipt, error) {
		return n.CustomNotice(ctx, in.Message, in.EventAttributes)
	})
}

// parseUserData takes an object, the JSON of one, or nothing.
func parseUserData(v any) (map[string]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		plain, err := plainData(v)
		if err != nil {
			return nil, failure(ErrUserData, "startChat", err, "want plain data")
		}
		return plain, nil
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, text := range v {
			m[k] = text
		}
		return m, nil
	case string:
		if v == "" {
			return nil, nil
		}
		value, err := withDigits([]byte(v)) // long numbers are kept as they are written
		m, ok := value.(map[string]any)
		if err != nil || !ok && value != nil || !json.Valid([]byte(v)) {
			return nil, failure(ErrUserData, "startChat", nil, "want an object, or the JSON of one")
		}
		return m, nil
	}
	return nil, failure(ErrUserData, "startChat", fmt.Errorf("it is %T", v), "want an object, or the JSON of one")
}

// maxDepth is how deep what is attached may be nested: maps that hold themselves have no end.
const maxDepth = 1000

// plainData returns a copy of what is attached, made of nil, bool, string, numbers, []any and map[string]any. Its owner
// may write to the original afterwards. Values of other types become what their JSON form says: methods of theirs are
// code of the program, which must not run under a lock.
func plainData(data map[string]any) (map[string]any, error) {
	if data == nil {
		return nil, nil
	}
	v, err := plain(data, 0)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

func plain(v any, depth int) (_ any, err error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool, string, json.Number, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			if list[i], err = plain(v[i], depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name := range v {
			if all[name], err = plain(v[name], depth+1); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	var raw []byte
	if odd := contained(func() { raw, err = marshal(v) }); odd != nil {
		err = odd
	}
	if err != nil {
		return nil, fmt.Errorf("%T has no JSON form: %w", v, err)
	}
	return withDigits(raw)
}

// pushUserData queues what is attached for the data store, if there is any.
func (d *deps) pushUserData(all map[string]any) {
	if len(all) > 0 {
		d.events.push(dataOf(DataUserData, d.hooks.maskMap(all)))
	}
}
