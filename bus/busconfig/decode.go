package busconfig

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decoder gathers what is wrong while it decodes.
type decoder struct {
	cfg     *Config
	unknown []unknown
	errs    []*Error
}

// place is where a value belongs and where it came from.
type place struct {
	path, source string
	order        order
}

func (d *decoder) fail(code Code, at place, text, hint string) {
	d.errs = append(d.errs, &Error{Code: code, Path: at.path, Source: at.source, Text: text, Hint: hint, order: at.order})
}

// in is the place of an item in the value at p.
func (d *decoder) in(p place, path string, n *node) place {
	if n.line > 0 {
		return place{path, d.cfg.at(n.line), order{n.line, n.seq}}
	}
	return place{path, p.source, p.order}
}

// mismatch reports a value of the wrong type.
func (d *decoder) mismatch(n *node, t reflect.Type, tg tags, at place) {
	hint := want(t, tg)
	if n.line > 0 && t.Kind() == reflect.String && (n.kind == number || n.kind == boolean) {
		hint += ": put it in quotes"
	}
	if n.line == 0 && n.kind == text && isGroup(t) {
		hint += " as JSON" // in a variable
	}
	d.fail(CodeType, at, "is "+n.kind.String(), hint)
}

// want says what is expected.
func want(t reflect.Type, tg tags) string {
	of := func(what string) string {
		if tg.unit != "" {
			what += " of " + tg.unit
		}
		if l := tg.limits(); l != "" {
			what += ", " + l
		}
		return "want " + what
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return of("a number")
	case len(tg.oneof) > 0:
		return "want one of " + strings.Join(tg.oneof, ", ")
	}
	switch t.Kind() {
	case reflect.Bool:
		return "want true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return of("a whole number")
	case reflect.Float32, reflect.Float64:
		return of("a number")
	case reflect.Slice:
		return "want a list"
	case reflect.Map:
		return "want a group of names and values"
	case reflect.Struct:
		return "want a group of options"
	}
	if tg.number {
		return "want text or a number"
	}
	return "want text"
}

// value decodes n into v, which can be set.
func (d *decoder) value(n *node, v reflect.Value, tg tags, at place) {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		fresh := reflect.New(t.Elem())
		d.value(n, fresh.Elem(), tg, at)
		v.Set(fresh)
		return
	}
	if decodesItself(t) {
		d.itself(n, v, tg, at)
		return
	}
	if t == reflect.TypeFor[time.Duration]() {
		if f, ok := d.number(n, t, tg, at); ok {
			if f *= float64(unitOf(tg.unit)); math.Abs(f) >= math.MaxInt64 {
				d.fail(CodeRange, at, n.raw+" is too large", want(t, tg))
				return
			}
			v.SetInt(int64(math.Round(f)))
		}
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		if n.kind != boolean {
			d.mismatch(n, t, tg, at)
			return
		}
		v.SetBool(n.text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f, ok := d.number(n, t, tg, at)
		if !ok {
			return
		}
		i, err := strconv.ParseInt(n.text, 10, 64)
		if err != nil { // 3e3 and 3000.0 are whole too
			if f != math.Trunc(f) {
				d.fail(CodeType, at, "is not a whole number", want(t, tg))
				return
			}
			if math.Abs(f) >= 1<<63 {
				d.fail(CodeRange, at, n.raw+" is too large", want(t, tg))
				return
			}
			i = int64(f)
		}
		if v.OverflowInt(i) {
			d.fail(CodeRange, at, n.raw+" is too large", want(t, tg))
			return
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f, ok := d.number(n, t, tg, at)
		if !ok {
			return
		}
		switch {
		case f != math.Trunc(f):
			d.fail(CodeType, at, "is not a whole number", want(t, tg))
			return
		case f < 0:
			d.fail(CodeRange, at, n.raw+" is negative", want(t, tg))
			return
		}
		u, err := strconv.ParseUint(n.text, 10, 64)
		if err != nil && f < 1<<64 {
			u, err = uint64(f), nil
		}
		if err != nil || v.OverflowUint(u) {
			d.fail(CodeRange, at, n.raw+" is too large", want(t, tg))
			return
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		f, ok := d.number(n, t, tg, at)
		if !ok {
			return
		}
		if v.OverflowFloat(f) {
			d.fail(CodeRange, at, n.raw+" is too large", want(t, tg))
			return
		}
		v.SetFloat(f)
	case reflect.String:
		s, ok := d.text(n, t, tg, at)
		if !ok {
			return
		}
		for _, o := range tg.oneof {
			if s == o {
				v.SetString(s)
				return
			}
		}
		if len(tg.oneof) > 0 {
			d.fail(CodeRange, at, "is none of the values allowed", want(t, tg))
			return
		}
		v.SetString(s)
	case reflect.Slice:
		d.slice(n, v, tg, at)
	case reflect.Map:
		if n.kind == null {
			v.SetZero()
			return
		}
		if n.kind != object {
			d.mismatch(n, t, tg, at)
			return
		}
		out := reflect.MakeMapWithSize(t, len(n.members))
		for _, m := range n.members {
			e := reflect.New(t.Elem()).Elem()
			d.value(m.value, e, tags{}, d.in(at, join(at.path, m.name), m.value))
			out.SetMapIndex(reflect.ValueOf(m.name).Convert(t.Key()), e)
		}
		v.Set(out)
	case reflect.Struct:
		if n.kind != object {
			d.mismatch(n, t, tg, at)
			return
		}
		d.known(n, schemaOf(t), at, func(f *field, m member) {
			if m.value.kind == null && isGroup(f.typ) {
				return
			}
			d.value(m.value, v.FieldByIndex(f.index), f.tags, d.in(at, join(at.path, f.name), m.value))
		})
	case reflect.Interface:
		if free := n.free(); free != nil {
			v.Set(reflect.ValueOf(free))
		} else {
			v.SetZero()
		}
	}
}

func (d *decoder) slice(n *node, v reflect.Value, tg tags, at place) {
	if n.kind == null {
		v.SetZero()
		return
	}
	if n.kind != list {
		d.mismatch(n, v.Type(), tg, at)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(item, out.Index(i), tg, d.in(at, fmt.Sprintf("%s[%d]", at.path, i), item))
	}
	v.Set(out)
}

// number reads n as a number within the limits.
func (d *decoder) number(n *node, t reflect.Type, tg tags, at place) (float64, bool) {
	if n.kind != number {
		d.mismatch(n, t, tg, at)
		return 0, false
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || tg.min != nil && f < *tg.min || tg.max != nil && f > *tg.max {
		d.fail(CodeRange, at, n.raw+" is out of range", want(t, tg))
		return 0, false
	}
	return f, true
}

// text reads n as a text, or as the digits of a number where that will do.
func (d *decoder) text(n *node, t reflect.Type, tg tags, at place) (string, bool) {
	switch {
	case n.kind == text:
		return n.text, true
	case n.kind == number && tg.number:
		return n.raw, true
	}
	d.mismatch(n, t, tg, at)
	return "", false
}

// itself lets the type decode: JSON of the value, else its text.
func (d *decoder) itself(n *node, v reflect.Value, tg tags, at place) {
	if n.kind == number && !n.plain() {
		// The type may want the digits: a key 0123 is not 83.
		d.fail(CodeType, at, "is not a plain number", "put it in quotes, or write it in decimal digits")
		return
	}
	take := func(n *node) error {
		fresh := reflect.New(v.Type())
		var err error
		switch u := fresh.Interface().(type) {
		case json.Unmarshaler:
			err = u.UnmarshalJSON(n.json())
		case encoding.TextUnmarshaler:
			if n.kind != text && (n.kind != number || !tg.number) {
				return errors.New(want(reflect.TypeFor[string](), tg))
			}
			err = u.UnmarshalText([]byte(cmp.Or(n.raw, n.text)))
		}
		if err == nil {
			v.Set(fresh.Elem())
		}
		return err
	}
	err := take(n)
	if err != nil && n.second != nil {
		if err = take(n.second); err == nil {
			*n = *n.second // the variable's own: the other reading is the right one
		}
	}
	if err == nil {
		return
	}
	d.fail(CodeType, at, "is not accepted", n.because(err))
}

// because is what a type says that refused n. What the standard library says is
// put in our words, and what repeats the value is left out.
func (n *node) because(err error) string {
	var (
		num    *strconv.NumError
		typ    *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case errors.As(err, &num) && errors.Is(num.Err, strconv.ErrRange):
		return "the number is too large"
	case errors.As(err, &num):
		return "want a number"
	case errors.As(err, &typ):
		return want(typ.Type, tags{})
	case errors.As(err, &syntax):
		return ""
	}
	if s := err.Error(); !n.quoted(s) {
		return s
	}
	return ""
}

// quoted reports whether s holds a text of n.
func (n *node) quoted(s string) bool {
	if n.kind == text && n.text != "" && strings.Contains(s, n.text) {
		return true
	}
	for _, i := range n.items {
		if i.quoted(s) {
			return true
		}
	}
	for _, m := range n.members {
		if m.value.quoted(s) {
			return true
		}
	}
	return false
}

// free is n for a free-form map: nil, bool, a number with the digits that were
// written, string, []any, map[string]any.
func (n *node) free() any {
	switch n.kind {
	case boolean:
		return n.text == "true"
	case number:
		if !n.plain() {
			return n.raw
		}
		if i, err := strconv.ParseInt(n.raw, 10, 64); err == nil && strconv.FormatInt(i, 10) == n.raw {
			return i
		}
		f, _ := strconv.ParseFloat(n.raw, 64) // the parsers let only finite ones pass
		if printed, err := json.Marshal(f); err == nil && string(printed) == n.raw {
			return f
		}
		return json.Number(n.raw)
	case text:
		return n.text
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.free()
		}
		return out
	case object:
		out := make(map[string]any, len(n.members))
		for _, m := range n.members {
			out[m.name] = m.value.free()
		}
		return out
	}
	return nil
}

// plain reports whether a number is written as JSON writes numbers. YAML has
// more ways, and a 0123 or a +49301234 is most likely no number at all.
func (n *node) plain() bool { return json.Valid([]byte(n.raw)) }

// json is n in JSON, with the digits of its numbers.
func (n *node) json() []byte {
	switch n.kind {
	case boolean:
		return []byte(n.text)
	case number:
		if n.plain() {
			return []byte(n.raw)
		}
		return (&node{kind: text, text: n.raw}).json()
	case text:
		out, _ := json.Marshal(n.text) // a string always has a JSON form
		return out
	case list:
		out := []byte{'['}
		for i, item := range n.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, item.json()...)
		}
		return append(out, ']')
	case object:
		out := []byte{'{'}
		for i, m := range n.members {
			if i > 0 {
				out = append(out, ',')
			}
			name, _ := json.Marshal(m.name)
			out = append(append(append(out, name...), ':'), m.value.json()...)
		}
		return append(out, '}')
	}
	return []byte("null")
}

// fromEnv reads a variable for an option of type t. What does not fit becomes
// a text, for the decoder to refuse.
func fromEnv(value string, t reflect.Type) *node {
	t = deref(t)
	asJSON := func() (*node, bool) {
		n, err := parseJSON(&builder{}, []byte(value))
		if err != nil {
			return nil, false
		}
		n.forgetLines()
		return n, true
	}
	plain := &node{kind: text, text: value}
	trimmed := strings.TrimSpace(value)
	if decodesItself(t) {
		// A key may look like JSON: as a text it comes first.
		plain.second, _ = asJSON()
		return plain
	}
	switch t.Kind() {
	case reflect.String:
	case reflect.Bool:
		switch strings.ToLower(trimmed) {
		case "true", "1":
			return &node{kind: boolean, text: "true"}
		case "false", "0":
			return &node{kind: boolean, text: "false"}
		}
	case reflect.Slice:
		if n, ok := asJSON(); ok && n.kind == list {
			return n
		}
		if t.Elem().Kind() == reflect.String && !strings.HasPrefix(trimmed, "[") {
			n := &node{kind: list}
			for item := range strings.SplitSeq(value, ",") {
				n.items = append(n.items, &node{kind: text, text: strings.TrimSpace(item)})
			}
			return n
		}
	default: // numbers too are written as in JSON
		if n, ok := asJSON(); ok {
			return n
		}
	}
	return plain
}

func (n *node) forgetLines() {
	n.line = 0
	for _, i := range n.items {
		i.forgetLines()
	}
	for i := range n.members {
		n.members[i].line = 0
		n.members[i].value.forgetLines()
	}
}
