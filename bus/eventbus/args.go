package eventbus

import "slices"

// Args is the payload of an event that stands for several arguments. Plugins,
// hooks and taps see these payloads:
//
//	Publish(t)            nil
//	Publish(t, x)         x
//	Publish(t, x, y, ...) Args{x, y, ...}
//	Publish(t, nil)       Args{nil}
//	Publish(t, Args{...}) Args{Args{...}}
//
// The way back is the same table read from right to left, so a plugin that
// holds the client can call EventBus handlers with
// client.Publish(ctx, topic, payload).
type Args []any

// pack makes the payload for arguments. Several are copied: a payload is
// immutable, and the caller may have spread a slice of its own.
func pack(args []any) any {
	switch len(args) {
	case 0:
		return nil
	case 1:
		if v := args[0]; v != nil {
			if _, ok := v.(Args); !ok {
				return v
			}
		}
	}
	return Args(slices.Clone(args))
}

// unpack makes arguments of a payload.
func unpack(payload any) []any {
	switch v := payload.(type) {
	case nil:
		return nil
	case Args:
		return v
	}
	return []any{payload}
}
