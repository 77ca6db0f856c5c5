// Package busschema derives JSON Schemas from the Go types of what travels on a bus.
//
// What a schema admits is what [encoding/json] makes of a value of the type, and what a command takes
// that is called with a map or with raw JSON. A field without omitempty or omitzero is required; members
// that the struct does not have are refused, as the bus refuses them. Raw JSON and interfaces admit
// anything. A field's doc tag is its description.
//
// A type that writes its own JSON is not what its Go type looks like: For refuses it, unless it is told
// what such a type writes.
package busschema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// For returns the schema of t. known holds the schemas of types that write their own JSON, and wins over
// what For knows by itself (raw JSON, numbers and the time of the standard library, types that write
// themselves as text); it may be nil and is not changed.
//
// The error names the type that has no schema: one that writes its own JSON and is not known
// ([*UnknownError]), a function, a channel, a complex number, a map whose keys are no text, or a type that holds itself.
func For(t reflect.Type, known map[reflect.Type]*jsonschema.Schema) (*jsonschema.Schema, error) {
	s, err := (&maker{known: known, open: map[reflect.Type]bool{}}).of(t)
	if err != nil {
		return nil, fmt.Errorf("schema of %v: %w", t, err)
	}
	return s, nil
}

// UnknownError is returned by [For] for a type that writes its own JSON and is not known.
type UnknownError struct{ Type reflect.Type }

// Error says which type it is.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("%v writes its own JSON; say which", e.Type)
}

// maker makes one schema.
type maker struct {
	known map[reflect.Type]*jsonschema.Schema
	open  map[reflect.Type]bool // structs that are being looked at
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func (m *maker) of(t reflect.Type) (*jsonschema.Schema, error) {
	if s := m.known[t]; s != nil {
		return s.CloneSchemas(), nil
	}
	if t.Kind() == reflect.Pointer {
		s, err := m.of(t.Elem())
		return orNull(s), err
	}
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return &jsonschema.Schema{}, nil
	case reflect.TypeFor[json.Number]():
		return &jsonschema.Schema{Type: "number"}, nil
	case reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}, nil
	case reflect.TypeFor[[]byte]():
		return orNull(&jsonschema.Schema{Type: "string", ContentEncoding: "base64"}), nil
	}
	if t.Kind() != reflect.Interface {
		switch p := reflect.PointerTo(t); {
		case p.Implements(marshaler):
			return nil, &UnknownError{t}
		case p.Implements(textMarshaler):
			return &jsonschema.Schema{Type: "string"}, nil
		}
	}
	switch t.Kind() {
	case reflect.Interface:
		return &jsonschema.Schema{}, nil
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}, nil
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &jsonschema.Schema{Type: "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &jsonschema.Schema{Type: "integer", Minimum: jsonschema.Ptr(0.0)}, nil
	case reflect.Float32, reflect.Float64:
		return &jsonschema.Schema{Type: "number"}, nil
	case reflect.Slice:
		items, err := m.of(t.Elem())
		return orNull(&jsonschema.Schema{Type: "array", Items: items}), err
	case reflect.Array:
		items, err := m.of(t.Elem())
		n := t.Len()
		return &jsonschema.Schema{Type: "array", Items: items, MinItems: &n, MaxItems: &n}, err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%v: the keys of an object are text", t)
		}
		values, err := m.of(t.Elem())
		return orNull(&jsonschema.Schema{Type: "object", AdditionalProperties: values}), err
	case reflect.Struct:
		return m.object(t)
	}
	return nil, fmt.Errorf("%v has no JSON", t)
}

// object returns the schema of a struct.
func (m *maker) object(t reflect.Type) (*jsonschema.Schema, error) {
	if m.open[t] {
		return nil, fmt.Errorf("%v holds itself", t)
	}
	m.open[t] = true
	defer delete(m.open, t)
	s := &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}}
	for _, f := range fieldsOf(t) {
		p, err := m.of(f.t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		p.Description = f.doc
		if s.Properties == nil {
			s.Properties = map[string]*jsonschema.Schema{}
		}
		s.Properties[f.name] = p
		s.PropertyOrder = append(s.PropertyOrder, f.name)
		if !f.optional {
			s.Required = append(s.Required, f.name)
		}
	}
	return s, nil
}

// orNull makes a schema admit null too, as nil is written.
func orNull(s *jsonschema.Schema) *jsonschema.Schema {
	switch {
	case s == nil:
	case s.Type != "":
		s.Type, s.Types = "", []string{"null", s.Type}
	case len(s.Types) > 0:
		s.Types = append([]string{"null"}, s.Types...)
	case len(s.AnyOf) > 0:
		s.AnyOf = append([]*jsonschema.Schema{{Type: "null"}}, s.AnyOf...)
	}
	return s
}
