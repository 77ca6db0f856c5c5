package webchatservice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Wire has the options of the wire, by their names, where they stand in the webchat section: those of a group in an
// object of its own. Some are secrets, and which ones is the business of the factories: so none is shown, in whatever
// way a Wire is printed, but those that the vendor has and that are no secrets. The zero Wire has none. A Wire is
// immutable; those with the same content are equal by ==.
type Wire struct {
	sealed chat.Secret // as JSON
}

// NewWire returns a Wire with these options:
//
//	webchatservice.NewWire(map[string]any{"dataURL": url, "pollRateMax": 5000})
//	webchatservice.NewWire(map[string]any{"cometD": map[string]any{"cometURL": url}})
//
// A value is anything that has a JSON form, or a [chat.Secret]. NewWire panics if one has none.
func NewWire(options map[string]any) Wire {
	if len(options) == 0 {
		return Wire{}
	}
	raw, err := marshal(revealed(options))
	if err != nil {
		panic("webchatservice: an option of the wire is no plain data: " + err.Error())
	}
	return Wire{chat.NewSecret(string(raw))}
}

// Reveal returns the options, secrets in clear: what was given to NewWire, or read from files and JSON, as plain data.
// Numbers are [json.Number], with the digits that were written. The caller owns the map.
func (w Wire) Reveal() map[string]any {
	v, err := withDigits(json.RawMessage(w.plain()))
	if err != nil {
		panic("webchatservice: " + err.Error()) // never: it was made from plain data
	}
	return v.(map[string]any)
}

// IsZero reports whether there are no options.
func (w Wire) IsZero() bool { return w == Wire{} }

// plain returns the options as JSON, secrets in clear.
func (w Wire) plain() json.RawMessage {
	if w.IsZero() {
		return json.RawMessage("{}")
	}
	return json.RawMessage(w.sealed.Reveal())
}

// revealed returns v with its secrets as text.
func revealed(v any) any {
	switch v := v.(type) {
	case chat.Secret:
		return v.Reveal()
	case Key:
		return v.Reveal()
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = revealed(value)
		}
		return out
	case map[string]chat.Secret:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = value.Reveal()
		}
		return out
	}
	return v
}

// marshal is json.Marshal, with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// MarshalJSON implements [json.Marshaler].
func (w Wire) MarshalJSON() ([]byte, error) {
	t, err := parseTree(w.plain())
	if err != nil {
		return nil, err
	}
	return marshal(t.shown(""))
}

// shown returns the values of t, the group at path, as people may see them.
func (t tree) shown(path string) map[string]any {
	out := make(map[string]any, len(t))
	for name, raw := range t {
		at := join(path, name)
		group, isGroup := asTree(raw)
		switch {
		case isVendorGroup(at) && isGroup:
			out[name] = group.shown(at)
		case isVendorOption(at) && !isVendorSecret(at):
			out[name] = withoutUserinfo(raw)
		case isGroup: // the names may be of use
			hidden := make(map[string]any, len(group))
			for inner := range group {
				hidden[inner] = chat.Redacted
			}
			out[name] = hidden
		default:
			out[name] = chat.Redacted
		}
	}
	return out
}

// withoutUserinfo returns raw, or, where it is a text, that text without the password of an address.
func withoutUserinfo(raw json.RawMessage) any {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return raw
	}
	return chat.HideUserinfo(text)
}

// String returns what MarshalJSON returns.
func (w Wire) String() string {
	text, err := w.MarshalJSON()
	if err != nil {
		return "{" + err.Error() + "}"
	}
	return string(text)
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (w Wire) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.String()) }

// LogValue implements [slog.LogValuer].
func (w Wire) LogValue() slog.Value { return slog.StringValue(w.String()) }

// overlaid returns a new map: under, and over it what over says. An option replaces that of the same name as a whole,
// options of a group do so one by one. groups has the paths of the groups, path is that of the two.
func overlaid(under, over map[string]any, path string, groups map[string]bool) map[string]any {
	out := maps.Clone(under)
	if out == nil {
		out = make(map[string]any, len(over))
	}
	for name, value := range over {
		at := join(path, name)
		if inner, ok := value.(map[string]any); ok && groups[at] {
			old, _ := out[name].(map[string]any)
			value = overlaid(old, inner, at, groups)
		}
		out[name] = value
	}
	return out
}

// rawOption is an option as it was written.
type rawOption struct {
	path string
	raw  json.RawMessage
}

// rawOptions returns the options that t has, in the order of the alphabet. groups has the paths of the groups.
func (t tree) rawOptions(groups map[string]bool) []rawOption {
	var all []rawOption
	var walk func(t tree, path string)
	walk = func(t tree, path string) {
		for _, name := range slices.Sorted(maps.Keys(t)) {
			at := join(path, name)
			if inner, ok := asTree(t[name]); ok && groups[at] {
				walk(inner, at)
				continue
			}
			all = append(all, rawOption{at, t[name]})
		}
	}
	walk(t, "")
	return all
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// tree is an object of a configuration, or a group in it, as it was written.
type tree map[string]json.RawMessage

// parseTree reads an object; null is an empty one.
func parseTree(raw []byte) (tree, error) {
	var t tree
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, err
	}
	return t, nil
}

// asTree returns raw as a tree, if it is an object.
func asTree(raw json.RawMessage) (tree, bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, false
	}
	t, err := parseTree(raw)
	return t, err == nil
}

// take removes what stands at a path from t and the groups in it, and returns it.
func (t tree) take(path string) (json.RawMessage, bool) {
	name, rest, nested := strings.Cut(path, ".")
	raw, ok := t[name]
	if !ok || !nested {
		delete(t, name)
		return raw, ok
	}
	inner, ok := asTree(raw)
	if !ok {
		return nil, false
	}
	if raw, ok = inner.take(rest); ok {
		if len(inner) == 0 {
			delete(t, name)
		} else if left, err := marshal(inner); err == nil { // what was raw JSON is JSON
			t[name] = left
		}
	}
	return raw, ok
}
