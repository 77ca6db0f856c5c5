package main

import (
	"context"
	"io"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/bus"
)

// commandRow is a command as busdemo commands --json prints it.
type commandRow struct {
	Name   string             `json:"name"`
	Doc    string             `json:"doc"`
	In     string             `json:"in"`
	Out    string             `json:"out"`
	Input  *jsonschema.Schema `json:"input"`
	Result *jsonschema.Schema `json:"result"`
}

func newCommands(stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "commands",
		Short: "List the commands on the bus",
		Long:  "commands lists the commands that are registered on the bus: name, types of input and result, meaning.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listCommands(cmd.Context(), asJSON, stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array: name, doc, Go types in and out, JSON Schemas input and result")
	return cmd
}

func listCommands(ctx context.Context, asJSON bool, w io.Writer) error {
	var rows []commandRow
	err := eachPlugin(ctx, func(p bus.PluginInfo) error {
		for _, c := range p.Commands {
			row := commandRow{Name: c.Name, Doc: c.Doc, In: typeName(c.In), Out: typeName(c.Out)}
			var err error
			if row.Input, err = schemaOf(c.In); err != nil {
				return err
			}
			if row.Result, err = schemaOf(c.Out); err != nil {
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
		return printJSON(w, rows)
	}
	var l listing
	for _, r := range rows {
		l.add(r.Name, r.In+" -> "+r.Out, r.Doc)
	}
	return l.print(w)
}
