package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// convert turns a value that came by name into a T. It accepts a T itself, nil (the zero T), and maps, lists and raw
// JSON, which are decoded strictly: an unknown field, a wrong type or trailing text is [ErrWrongType]. A T that is raw
// JSON or a map takes any value, which is encoded. []byte counts as raw JSON only as json.RawMessage, so that binary
// payloads stay what they are.
//
// The JSON methods of T and of the value are code of users: a panic there is [ErrPanic], and the caller must hold no
// lock. Numbers keep their digits where T leaves their type open: they become [json.Number].
func convert[T any](op string, v any) (T, error) { return decode[T](op, v, false) }

// decode is convert. If lenient is set, fields that T does not have pass: what comes from another process, or from the
// owner of a command as its result, may be newer than T.
func decode[T any](op string, v any, lenient bool) (out T, err error) {
	if t, ok := v.(T); ok || v == nil {
		return t, nil
	}
	defer func() {
		if p := recover(); p != nil {
			var none T
			out, err = none, panicError(op, p)
		}
	}()
	raw, isRaw := v.(json.RawMessage)
	if !isRaw {
		if raw, err = encode[T](op, v); err != nil {
			return out, err
		}
	}
	if to, ok := any(&out).(*json.RawMessage); ok {
		*to = raw
		return out, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if !lenient {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(&out); err != nil {
		var none T
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return none, ErrWrongType.because(op, err, misfit(err, reflect.TypeFor[T]()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		var none T
		return none, ErrWrongType.with(op, "text after the JSON value")
	}
	return out, nil
}

// encode makes JSON of a value that may stand for a T.
func encode[T any](op string, v any) ([]byte, error) {
	open := false // T takes whatever has a JSON form
	switch any((*T)(nil)).(type) {
	case *json.RawMessage, *map[string]any:
		open = true
	}
	switch v.(type) {
	case map[string]any, []any:
	default:
		if !open {
			return nil, ErrWrongType.with(op, fmt.Sprintf("got %T, want %s, a map or raw JSON", v, reflect.TypeFor[T]()))
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, ErrWrongType.because(op, err, fmt.Sprintf("%T must hold plain data", v))
	}
	return raw, nil
}

// misfit says what to do about JSON that does not fit t.
func misfit(err error, t reflect.Type) string {
	hint := fmt.Sprintf("the JSON must fit %s", t)
	unknown, ok := strings.CutPrefix(err.Error(), "json: unknown field ") // encoding/json has no type for it
	if !ok {
		return hint
	}
	unknown, err = strconv.Unquote(unknown)
	if err != nil {
		return hint
	}
	if near, ok := Nearest(unknown, fieldNames(t, nil)); ok {
		return hint + "; did you mean " + near + "?"
	}
	return hint
}

// fieldNames adds the names that a t has in JSON, also inside of its fields, to those of the types seen.
func fieldNames(t reflect.Type, seen []reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return fieldNames(t.Elem(), seen)
	case reflect.Struct:
	default:
		return nil
	}
	if slices.Contains(seen, t) {
		return nil
	}
	seen = append(seen, t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case name != "":
			names = append(names, name)
		case !f.Anonymous:
			names = append(names, f.Name)
		}
		names = append(names, fieldNames(f.Type, seen)...)
	}
	return names
}
