// Package busschema derives JSON Schemas from the Go types of commands and events.
//
// What a schema admits is what [encoding/json] makes of a value of the type, and what a command takes
// that is called with a map or with raw JSON. A field without omitempty or omitzero is required; members
// that the struct does not have are refused, as the bus refuses them. Raw JSON and interfaces admit
// anything.
//
// A type that writes its own JSON is not what its Go type looks like: For refuses it, unless it is told
// what such a type writes.
package busschema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// For returns the schema of t. known holds the schemas of types that write their own JSON, and wins over
// what For knows by itself (the time and the numbers of the standard library, raw JSON, types that write
// themselves as text); it may be nil and is not changed.
//
// The error names the type that has no schema: one that writes its own JSON and is not known, a
// function, a channel, a complex number, a map whose keys are no text, or a type that holds itself.
func For(t reflect.Type, known map[reflect.Type]*jsonschema.Schema) (*jsonschema.Schema, error) {
	schemas := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[big.Int]():         {Type: "integer"},
		reflect.TypeFor[[]byte]():          {Types: []string{"null", "string"}, ContentEncoding: "base64"},
	}
	maps.Copy(schemas, known)
	if err := collect(t, schemas, map[reflect.Type]bool{}); err != nil {
		return nil, fmt.Errorf("schema of %v: %w", t, err)
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: schemas})
	if err != nil {
		return nil, fmt.Errorf("schema of %v: %w", t, err)
	}
	nilMaps(s)
	return s, nil
}

// nilMaps lets the schemas of maps admit null, which a nil map is written as.
func nilMaps(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	// That of a struct refuses further members: its additionalProperties is a "not".
	if s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties.Not == nil {
		s.Type, s.Types = "", []string{"null", "object"}
	}
	for _, p := range s.Properties {
		nilMaps(p)
	}
	nilMaps(s.AdditionalProperties)
	nilMaps(s.Items)
}

// collect looks at all types that t is made of, adds those that write themselves as text to schemas,
// and refuses those that write something unknown.
func collect(t reflect.Type, schemas map[reflect.Type]*jsonschema.Schema, seen map[reflect.Type]bool) error {
	if schemas[t] != nil || seen[t] {
		return nil
	}
	seen[t] = true
	if t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer {
		switch p := reflect.PointerTo(t); {
		case p.Implements(marshaler):
			return fmt.Errorf("%v writes its own JSON; say which", t)
		case p.Implements(textMarshaler):
			schemas[t] = &jsonschema.Schema{Type: "string"}
			return nil
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return collect(t.Elem(), schemas, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if err := collect(f.Type, schemas, seen); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}
