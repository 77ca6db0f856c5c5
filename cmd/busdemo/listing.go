package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busschema"
	"github.com/cxbus/cxbus/plugins/webchatservice"
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

// schemaOf returns the JSON Schema of a type. What types of WebChatService that write their own JSON
// write is said here.
func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	return busschema.For(t, map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[webchatservice.SessionData](): {
			Type: "object",
			Properties: map[string]*jsonschema.Schema{
				"sessionID": {Type: "string"}, "userId": {Type: "string"}, "secureKey": {Type: "string"}, "alias": {Type: "string"},
			},
			Required: []string{"sessionID", "userId", "secureKey", "alias"},
		},
		reflect.TypeFor[webchatservice.Key]():       {Types: []string{"string", "number"}},
		reflect.TypeFor[webchatservice.LineID]():    {Types: []string{"string", "integer"}},
		reflect.TypeFor[webchatservice.PartyID]():   {Types: []string{"string", "integer"}},
		reflect.TypeFor[webchatservice.Time]():      {AnyOf: []*jsonschema.Schema{{Type: "integer"}, {Const: jsonschema.Ptr[any](false)}}},
		reflect.TypeFor[webchatservice.Intervals](): {AnyOf: []*jsonschema.Schema{{Type: "array", Items: &jsonschema.Schema{Type: "integer"}}, {Const: jsonschema.Ptr[any](false)}}},
	})
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
