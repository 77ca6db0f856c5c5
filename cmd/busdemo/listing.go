package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busschema"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wires"
)

// listNamespace is the program's own client on the bus that is listed; it is left out.
const listNamespace = "List"

// eachPlugin starts a bus with the plugins on it and calls f for each, in order of their names.
func (p *program) eachPlugin(ctx context.Context, f func(bus.PluginInfo) error) error {
	s, err := p.newStack(ctx, stackOptions{namespace: listNamespace})
	if err != nil {
		return err
	}
	registry := s.client.Registry()
	delete(registry, listNamespace)
	for _, namespace := range slices.Sorted(maps.Keys(registry)) {
		if err == nil {
			err = f(registry[namespace])
		}
	}
	return together(err, s.close(ctx))
}

// typeName returns a type as Go writes it; nothing for one without content.
func typeName(t reflect.Type) string {
	switch t.String() {
	case "struct {}":
		return "struct{}"
	case "interface {}":
		return "any"
	case "map[string]interface {}":
		return "map[string]any"
	}
	return t.String()
}

// schemaOf returns the JSON Schema of a type. Of a type that writes its own JSON, and is not among
// ownJSON, it says nothing.
func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	known := ownJSON()
	for {
		s, err := busschema.For(t, known)
		var unknown *busschema.UnknownError
		if !errors.As(err, &unknown) {
			return s, err
		}
		known[unknown.Type] = &jsonschema.Schema{}
	}
}

// ownJSON returns what the types of WebChatService that write their own JSON write.
func ownJSON() map[reflect.Type]*jsonschema.Schema {
	text, integer := &jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "integer"}
	no := &jsonschema.Schema{Const: jsonschema.Ptr[any](false)}
	textOrNumber := &jsonschema.Schema{Types: []string{"string", "number"}}
	filter := object(map[string]*jsonschema.Schema{"source": text, "flags": text}, "source")
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Duration](): {Type: "number"},
		reflect.TypeFor[webchatservice.SessionData](): object(map[string]*jsonschema.Schema{
			"sessionID": text, "userId": text, "secureKey": text, "alias": text,
		}, "sessionID", "userId", "secureKey", "alias"),
		reflect.TypeFor[chat.JSON]():                {},
		reflect.TypeFor[webchatservice.Key]():       textOrNumber,
		reflect.TypeFor[webchatservice.LineID]():    textOrNumber,
		reflect.TypeFor[webchatservice.PartyID]():   textOrNumber,
		reflect.TypeFor[webchatservice.Time]():      anyOf(integer, no),
		reflect.TypeFor[webchatservice.Elapsed]():   anyOf(integer, no),
		reflect.TypeFor[webchatservice.Intervals](): anyOf(&jsonschema.Schema{Type: "array", Items: integer}, no),
		reflect.TypeFor[webchatservice.Filter]():    filter,
		reflect.TypeFor[webchatservice.Filters]():   anyOf(filter, &jsonschema.Schema{Type: "array", Items: filter}),
	}
	if section, err := busschema.For(reflect.TypeOf(webchatservice.Schema(wires.All())), known); err == nil {
		section.AdditionalProperties = nil // options of wires that are not at hand are taken, too
		section.Properties["cometD"].AdditionalProperties = nil
		section.Properties["transport"].AdditionalProperties = nil
		known[reflect.TypeFor[webchatservice.Config]()] = section
	}
	return known
}

func object(properties map[string]*jsonschema.Schema, required ...string) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", Properties: properties, Required: required,
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
}

func anyOf(schemas ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: schemas}
}

func printJSON(w io.Writer, rows any) error {
	b, err := json.MarshalIndent(rows, "", "  ")
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

// listing is a list for people: each thing with its types and, below, what it means.
type listing struct{ rows [][3]string }

func (l *listing) add(name, types, doc string) { l.rows = append(l.rows, [3]string{name, types, doc}) }

func (l *listing) print(w io.Writer) error {
	p := painter(colours(w, os.Getenv))
	var b strings.Builder
	for _, r := range l.rows {
		b.WriteString(p.paint(bold, r[0]) + "  " + p.paint(cyan, r[1]) + "\n")
		if r[2] != "" {
			b.WriteString("    " + r[2] + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
