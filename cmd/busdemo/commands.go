package main

import (
	"context"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// commandRow is a command as busdemo commands --json prints it.
type commandRow struct {
	Name   string             `json:"name"`
	Doc    string             `json:"doc"`
	In     string             `json:"in"`
	Out    string             `json:"out"`
	Input  *jsonschema.Schema `json:"input"`
	Result *jsonschema.Schema `json:"result"`
	// Rejects is what it rejects with, beside the bus's own errors; of WebChatService's commands only.
	Rejects []rejection `json:"rejects,omitempty"`
}

// rejection is an error as a list shows it.
type rejection struct {
	Code bus.Code `json:"code"`
	Text string   `json:"text"`
}

func (p *program) commandsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "commands",
		Short: "List the commands on the bus",
		Long:  "commands lists the commands that are registered on the bus: name, types of input and result, meaning.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.commands(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array: name, doc, Go types in and out, JSON Schemas input and result, rejections")
	return cmd
}

func (p *program) commands(ctx context.Context, asJSON bool) error {
	rejections := webchatservice.Rejections()
	var rows []commandRow
	err := p.eachPlugin(ctx, func(info bus.PluginInfo) error {
		for _, c := range info.Commands {
			row := commandRow{Name: c.Name, Doc: c.Doc, In: typeName(c.In), Out: typeName(c.Out)}
			var err error
			if row.Input, err = schemaOf(c.In); err != nil {
				return err
			}
			if row.Result, err = schemaOf(c.Out); err != nil {
				return err
			}
			if short, ok := strings.CutPrefix(c.Name, webchatservice.Namespace+"."); ok {
				for _, e := range rejections[short] {
					row.Rejects = append(row.Rejects, rejection{e.Code, e.Text})
				}
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
		l.add(r.Name, r.In+" -> "+r.Out, r.Doc)
	}
	return l.print(p.stdout)
}
