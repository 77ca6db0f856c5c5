package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cxbus/cxbus/bus"
)

// refPart is one part of a name: printable, no white space, dot or star.
var refPart = regexp.MustCompile(`^[^.*\s]+$`)

func refValid(name string) bool {
	for _, part := range strings.Split(name, ".") {
		if !refPart.MatchString(part) || !utf8.ValidString(part) ||
			strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == utf8.RuneError }) {
			return false
		}
	}
	return true
}

// refPattern turns a subscription name into a regular expression; nil if it is
// malformed.
func refPattern(name string) *regexp.Regexp {
	if name == "*" {
		return regexp.MustCompile(`(?s)^.*$`)
	}
	ns, member, dotted := strings.Cut(name, ".")
	if !strings.Contains(name, "*") {
		if !dotted || !refValid(name) || len(ns) > 256 || len(member) > 256 {
			return nil
		}
		return regexp.MustCompile("^" + regexp.QuoteMeta(name) + "$")
	}
	if len(name) > 256 {
		return nil
	}
	expr, middle := "", name
	if rest, ok := strings.CutPrefix(middle, "*."); ok {
		expr, middle = `[^.]+\.`, rest
	}
	tail := ""
	if middle == "*" {
		middle, tail = "", `.+`
	} else if rest, ok := strings.CutSuffix(middle, ".*"); ok {
		middle, tail = rest, `\..+`
	}
	if middle != "" && !refValid(middle) || middle == "" && tail != `.+` {
		return nil
	}
	return regexp.MustCompile("(?s)^" + expr + regexp.QuoteMeta(middle) + tail + "$")
}

// FuzzNames: a namespace, a member and a pattern are accepted exactly if the
// reference accepts them, and an event reaches a subscription exactly if the
// regular expression made of its name says so: whether the subscription or the
// name came first, and again not after it ended.
func FuzzNames(f *testing.F) {
	for _, s := range [][3]string{
		{"A", "x", "A.x"}, {"A", "x.y", "A.*"}, {"A", "x", "*"}, {"A", "x", "*.x"}, {"A", "x.y", "*.x.*"},
		{"A", "x.y.z", "*.*"}, {"A", "x", "**"}, {"A", "", ".x"}, {"A.B", "x", "A.*.x"}, {"", "x..y", "*."},
		{"é", "ü", "é.*"}, {"A", "idle:5", "A.idle:5"}, {"A", "\xff", "A.\xff"}, {"A", "x\n", "A.x\n"},
		{"A", "\ufffd", "A.\ufffd"}, {"A", "x", "A.x*"}, {"A", "x", "A"}, {"A\u200b", "x", "A\u200b.*"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, ns, member, pattern string) {
		b := bus.New(nil)
		c, err := b.Register("Subscriber")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		count := func(context.Context, bus.Event[any]) { n++ }
		re := refPattern(pattern)
		early, err := c.Subscribe(pattern, count, bus.Inline())
		if (err == nil) != (re != nil) {
			t.Fatalf("Subscribe(%q) = %v, the reference says valid: %v", pattern, err, re != nil)
		}
		a, err := b.Register(ns)
		ok := refValid(ns) && !strings.Contains(ns, ".") && len(ns) <= 256 && ns != "Subscriber" && ns != "Bus"
		if (err == nil) != ok {
			t.Fatalf("Register(%q) = %v, the reference says %v", ns, err, ok)
		}
		if err != nil {
			return
		}
		err = a.Publish(t.Context(), member, 1)
		ok = refValid(member) && len(member) <= 256
		if (err == nil) != ok {
			t.Fatalf("Publish(%q) = %v, the reference says %v", member, err, ok)
		}
		if err != nil || re == nil {
			return
		}
		want := 0
		if re.MatchString(ns + "." + member) {
			want = 1
		}
		if n != want {
			t.Fatalf("%q to %q, subscription first: %d calls, want %d", ns+"."+member, pattern, n, want)
		}
		late, err := c.Subscribe(pattern, count, bus.Inline())
		if err != nil {
			t.Fatal(err)
		}
		early.Unsubscribe()
		if err := a.Publish(t.Context(), member, 1); err != nil {
			t.Fatal(err)
		}
		if n != 2*want {
			t.Fatalf("%q to %q, name first: %d calls, want %d", ns+"."+member, pattern, n, 2*want)
		}
		late.Unsubscribe()
		if err := a.Publish(t.Context(), member, 1); err != nil || n != 2*want {
			t.Fatalf("%q to %q after Unsubscribe: %d calls, %v", ns+"."+member, pattern, n, err)
		}
	})
}

// FuzzSuggestions: an error for an unknown command is quick to make, says what
// was asked for, and suggests only what there is.
func FuzzSuggestions(f *testing.F) {
	f.Add("startChat")
	f.Add("WebChatService.startchat")
	f.Add("WebchatService.startChat")
	f.Add("x")
	f.Add(strings.Repeat("é", 100))
	f.Fuzz(func(t *testing.T, name string) {
		b := bus.New(nil)
		a, _ := b.Register("WebChatService")
		c, _ := b.Register("C")
		if err := a.RegisterCommand("startChat", func(context.Context, any) (any, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		a.Ready()
		_, err := c.Call(t.Context(), name, nil)
		if err == nil {
			return // "WebChatService.startChat" itself, or one that every plugin has
		}
		h := err.(*bus.Error).Hint
		if guess, ok := strings.CutPrefix(h, "did you mean "); ok {
			switch strings.TrimSuffix(guess, "?") {
			case "WebChatService.startChat", "WebChatService", "C":
			default:
				t.Fatalf("Call(%q) suggests %q", name, h)
			}
		}
	})
}

// form is decoded into by FuzzDecode.
type form struct {
	Text  string            `json:"text"`
	N     int8              `json:"n,omitempty"`
	F     float64           `json:"f"`
	Flag  *bool             `json:"flag"`
	Tags  []string          `json:"tags"`
	Extra map[string]string `json:"extra"`
	Inner struct {
		Deep []any `json:"deep"`
	} `json:"inner"`
	Raw json.RawMessage `json:"raw"`
}

// FuzzDecode: raw JSON given by name to a typed command or event is accepted
// exactly if encoding/json decodes all of it with unknown fields forbidden, and
// the handler then gets the same value. A map is what its JSON is. Whatever
// comes, the error is ErrWrongType.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, ``, ` {"text":"a"} `, `{"text":"a","n":1,"f":1e3,"flag":true,"tags":["x"],"extra":{"k":"v"},"inner":{"deep":[1,[2]]},"raw":{"a":[]}}`,
		`{"TEXT":"folded"}`, `{"nope":1}`, `{"n":128}`, `{"n":"1"}`, `{} {}`, `{}x`, `[]`, `"s"`, `{"text":"\ud800"}`, `{"tags":null}`,
		`{"text":"a","text":"b"}`, `{"inner":{"deep":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, "{\"text\":\"\xff\"}", `{"raw":`, `{"text":1}`,
	} {
		f.Add([]byte(s))
	}
	in := bus.NewCommand[form, form]("A.echo", "")
	ev := bus.NewEvent[form]("A.form", "")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want form
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		dec.DisallowUnknownFields()
		wantErr := dec.Decode(&want)
		if wantErr == nil {
			if _, err := dec.Token(); err != io.EOF {
				wantErr = io.ErrUnexpectedEOF
			}
		}
		b := bus.New(nil)
		a, _ := b.Register("A")
		c, _ := b.Register("C")
		if err := bus.Handle(a, in, func(_ context.Context, v form) (form, error) { return v, nil }); err != nil {
			t.Fatal(err)
		}
		a.Ready()
		if _, err := ev.Bind(a); err != nil {
			t.Fatal(err)
		}
		var got *form
		if _, err := bus.Subscribe(c, ev, func(_ context.Context, e bus.Event[form]) { got = &e.Data }, bus.Inline()); err != nil {
			t.Fatal(err)
		}
		check := func(kind string, v any) {
			got = nil
			out, callErr := c.Call(t.Context(), "A.echo", v)
			pubErr := a.Publish(t.Context(), "form", v)
			if (callErr == nil) != (wantErr == nil) || (pubErr == nil) != (wantErr == nil) {
				t.Fatalf("%s %q: call %v, publish %v; encoding/json says %v", kind, raw, callErr, pubErr, wantErr)
			}
			if wantErr != nil {
				if !isWrongType(callErr) || !isWrongType(pubErr) || got != nil {
					t.Fatalf("%s %q: call %v, publish %v, handled %v", kind, raw, callErr, pubErr, got)
				}
				return
			}
			if !reflect.DeepEqual(out, want) || got == nil || !reflect.DeepEqual(*got, want) {
				t.Fatalf("%s %q: got %+v and %+v, want %+v", kind, raw, out, got, want)
			}
		}
		check("raw", json.RawMessage(raw))
		// The same as a map, if it is one: what json makes of the map is the truth.
		var m map[string]any
		if json.Unmarshal(raw, &m) != nil || m == nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			return
		}
		want = form{}
		dec = json.NewDecoder(bytes.NewReader(again))
		dec.UseNumber()
		dec.DisallowUnknownFields()
		if wantErr = dec.Decode(&want); wantErr != nil {
			wantErr = io.ErrUnexpectedEOF
		}
		check("map", m)
	})
}

func isWrongType(err error) bool {
	e, ok := err.(*bus.Error)
	return ok && e.Code == bus.ErrWrongType.Code
}
