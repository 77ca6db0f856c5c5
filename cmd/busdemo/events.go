package main

import (
	"context"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/bus"
)

// eventRow is an event as busdemo events --json prints it.
type eventRow struct {
	Name    string             `json:"name"`
	Doc     string             `json:"doc"`
	Type    string             `json:"type"`
	Payload *jsonschema.Schema `json:"payload"`
}

func (p *program) eventsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List the events on the bus",
		Long:  "events lists the events that are declared on the bus: name, type of payload, meaning.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.events(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array: name, doc, Go type, JSON Schema payload")
	return cmd
}

func (p *program) events(ctx context.Context, asJSON bool) error {
	var rows []eventRow
	err := p.eachPlugin(ctx, func(info bus.PluginInfo) error {
		for _, e := range info.Events {
			row := eventRow{Name: e.Name, Doc: e.Doc, Type: typeName(e.Type)}
			var err error
			if row.Payload, err = schemaOf(e.Type); err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(p.stdout, rows)
	}
	var l listing
	for _, r := range rows {
		l.add(r.Name, r.Type, r.Doc)
	}
	return l.print(p.stdout)
}
