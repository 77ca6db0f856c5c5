package webchatservice

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// decodeOption reads what stands for an option into v, the option's field. The error says what is wrong, and never
// holds the value of a text.
func decodeOption(o chat.Option, raw json.RawMessage, v reflect.Value) error {
	fresh := reflect.New(v.Type()).Elem()
	if err := decodeValue(o.Field.Tag, o, raw, fresh); err != nil {
		return err
	}
	if err := checkRange(o, fresh); err != nil {
		return err
	}
	v.Set(fresh)
	return nil
}

func decodeValue(tag reflect.StructTag, o chat.Option, raw json.RawMessage, v reflect.Value) error {
	t := v.Type()
	is := kindOf(raw)
	if t.Kind() == reflect.Pointer {
		v.Set(reflect.New(t.Elem()))
		return decodeValue(tag, o, raw, v.Elem())
	}
	mismatch := func(want string) error {
		if unit := tag.Get("unit"); unit != "" {
			want += " of " + unit
		}
		return fmt.Errorf("is %s, want %s", is, want)
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		v.SetBytes(slices.Clone(raw))
		return nil
	case t == reflect.TypeFor[time.Duration]():
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return mismatch("a number")
		}
		if n *= float64(o.Unit()); math.Abs(n) >= math.MaxInt64 {
			return errors.New("is too large")
		}
		v.SetInt(int64(math.Round(n)))
		return nil
	case chat.DecodesItself(t):
		return decodeItself(tag, raw, v)
	}
	switch t.Kind() {
	case reflect.Bool:
		if is != "true or false" {
			return mismatch("true or false")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || n != math.Trunc(n) {
			return mismatch("a whole number")
		}
		if math.Abs(n) < 1<<53 { // 3e3 and 3000.0 are whole numbers, too
			raw = strconv.AppendFloat(nil, n, 'f', -1, 64)
		}
	case reflect.Float32, reflect.Float64:
		if is != "a number" {
			return mismatch("a number")
		}
	case reflect.String:
		if is == "a number" && tag.Get("accept") == "number" {
			v.SetString(string(raw))
			return nil
		}
		if is != "text" {
			return mismatch("text")
		}
	case reflect.Slice:
		if is != "a list" && is != "empty" {
			return mismatch("a list")
		}
		return decodeList(o, raw, v)
	case reflect.Map:
		if is != "a group of options" && is != "empty" {
			return mismatch("a group of names and values")
		}
		return decodeMap(o, raw, v)
	case reflect.Interface:
		free, err := decodeFree(raw)
		if free != nil {
			v.Set(reflect.ValueOf(free))
		}
		return err
	}
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return errors.New("is too large")
	}
	return nil
}

// decodeItself lets a value decode itself that can.
func decodeItself(tag reflect.StructTag, raw json.RawMessage, v reflect.Value) error {
	switch p := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		return p.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		text := string(raw)
		if kindOf(raw) != "a number" || tag.Get("accept") != "number" {
			if json.Unmarshal(raw, &text) != nil {
				if tag.Get("accept") == "number" {
					return errors.New("want text or a number")
				}
				return errors.New("want text")
			}
		}
		return p.UnmarshalText([]byte(text))
	}
	return errors.New("cannot be read")
}

func decodeList(o chat.Option, raw json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return err
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := decodeValue("", o, item, out.Index(i)); err != nil {
			return fmt.Errorf("entry %d %w", i+1, err)
		}
	}
	v.Set(out)
	return nil
}

func decodeMap(o chat.Option, raw json.RawMessage, v reflect.Value) error {
	members, err := parseTree(raw)
	if err != nil || members == nil {
		return err
	}
	out := reflect.MakeMapWithSize(v.Type(), len(members))
	for name, member := range members {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := decodeValue(`accept:"number"`, o, member, e); err != nil {
			return fmt.Errorf("entry %q %w", name, err)
		}
		out.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), e)
	}
	v.Set(out)
	return nil
}

// decodeFree reads any JSON into nil, bool, string, []any, map[string]any, and for numbers what keeps their digits:
// int64, else float64, else [json.Number].
func decodeFree(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return withNumbers(v), nil
}

func withNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil && strconv.FormatInt(i, 10) == string(v) {
			return i
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		if printed, err := json.Marshal(f); err == nil && string(printed) == string(v) {
			return f
		}
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = withNumbers(v[name])
		}
	}
	return v
}

// kindOf says in words what a JSON value is.
func kindOf(raw json.RawMessage) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return "empty"
	}
	switch raw[0] {
	case 'n':
		return "empty"
	case 't', 'f':
		return "true or false"
	case '"':
		return "text"
	case '[':
		return "a list"
	case '{':
		return "a group of options"
	}
	return "a number"
}

// checkRange holds a value to the tags min, max and oneof of its option.
func checkRange(o chat.Option, v reflect.Value) error {
	tag := o.Field.Tag
	var n float64
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		n = float64(v.Int()) / float64(o.Unit())
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	case v.CanFloat():
		n = v.Float()
	case v.Kind() == reflect.String:
		if oneof := tag.Get("oneof"); oneof != "" && !slices.Contains(strings.Split(oneof, ","), v.String()) {
			return fmt.Errorf("%q is none of the values allowed, want one of %s", v.String(), strings.ReplaceAll(oneof, ",", ", "))
		}
		return nil
	default:
		return nil
	}
	lo, hasLo := tag.Lookup("min")
	hi, hasHi := tag.Lookup("max")
	below := hasLo && !(n >= number(lo)) // so written, NaN is out of range too
	above := hasHi && !(n <= number(hi))
	if !below && !above {
		return nil
	}
	switch {
	case hasLo && hasHi:
		return fmt.Errorf("%v is out of range, want %s to %s", n, lo, hi)
	case hasLo:
		return fmt.Errorf("%v is out of range, want at least %s", n, lo)
	}
	return fmt.Errorf("%v is out of range, want at most %s", n, hi)
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("webchatservice: limit " + strconv.Quote(s) + " in a tag is not a number")
	}
	return f
}
