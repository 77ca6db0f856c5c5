package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// convert turns a value that came by name into a T: a T itself, nil (the zero
// T), or a map or raw JSON, which is decoded strictly: an unknown field, a
// wrong type or trailing text is ErrWrongType. []byte counts as raw JSON only
// as json.RawMessage, so that binary payloads stay what they are.
func convert[T any](op string, v any) (T, error) {
	if t, ok := v.(T); ok {
		return t, nil
	}
	var zero T
	var raw []byte
	switch v := v.(type) {
	case nil:
		return zero, nil
	case json.RawMessage:
		raw = v
	case map[string]any:
		var err error
		if raw, err = json.Marshal(v); err != nil {
			return zero, ErrWrongType.because(op, err, "a map must hold plain data")
		}
	default:
		return zero, ErrWrongType.with(op, fmt.Sprintf("got %T, want %s, a map or raw JSON", v, reflect.TypeFor[T]()))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&zero); err != nil {
		var none T
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return none, ErrWrongType.because(op, err, fmt.Sprintf("the JSON must fit %s", reflect.TypeFor[T]()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		var none T
		return none, ErrWrongType.with(op, "text after the JSON value")
	}
	return zero, nil
}
