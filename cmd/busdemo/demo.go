package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// The lines that make the scripted agent hand over to a second one, and end the chat.
const (
	transferLine = "transfer"
	byeLine      = "bye"
)

// demoLines is what the visitor says unless --say tells otherwise.
var demoLines = [...]string{
	"Hi, my parcel has not arrived yet.",
	transferLine,
	"Thank you, that helped.",
}

// demoOptions are the flags of busdemo demo.
type demoOptions struct {
	json     bool
	config   string
	say      []string
	patience time.Duration
}

func (p *program) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play one whole conversation and show each command and event",
		Long: "demo plays one whole conversation: against the embedded simulator, or against the service that a\n" +
			"configuration names. It shows each command and event as it comes, then the transcript and the\n" +
			"figures of a plugin of its own.",
		Args: noArgs,
	}
	p.demoFlags(cmd)
	return cmd
}

// demoFlags gives cmd the flags of demo, and makes it do what demo does.
func (p *program) demoFlags(cmd *cobra.Command) {
	var o demoOptions
	flags := cmd.Flags()
	flags.BoolVar(&o.json, "json", false, "print one JSON object per line: time, kind, name, by, data, error")
	flags.StringVar(&o.config, "config", "", "talk to the service that this `FILE` names in its section webchat")
	flags.StringArrayVar(&o.say, "say", nil, "say this `TEXT`, in place of the lines of the demo (repeatable)")
	flags.DurationVar(&o.patience, "patience", 30*time.Second, "how long to wait for an agent to come, or to answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		return p.demo(cmd.Context(), o)
	}
}

func (o *demoOptions) check() error {
	for _, text := range o.say {
		if strings.TrimSpace(text) == "" {
			return &usageError{errors.New("--say wants a text that is not empty")}
		}
	}
	if o.patience <= 0 {
		return &usageError{fmt.Errorf("--patience %v is out of range; want a time above 0, such as 30s", o.patience)}
	}
	return nil
}

func (p *program) demo(ctx context.Context, o demoOptions) error {
	paint := painter(!o.json && colours(p.stdout, os.Getenv))
	write := textTrace(p.stdout, paint, time.Now())
	if o.json {
		write = jsonTrace(p.stdout)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTrace(write, cancel) // when nobody reads, the chat is ended as by Ctrl-C

	transcript, figures, err := p.demoChat(ctx, o, t)
	if failed := t.close(); failed != nil {
		return fmt.Errorf("write the trace: %w", failed)
	}
	if !o.json && transcript != nil {
		fmt.Fprintln(p.stdout)
		if failed := printTranscript(p.stdout, paint, *transcript); failed != nil {
			return fmt.Errorf("write the transcript: %w", failed)
		}
		fmt.Fprintln(p.stdout)
		if failed := printFigures(p.stdout, paint, figures); failed != nil {
			return fmt.Errorf("write the statistics: %w", failed)
		}
	}
	return err
}

// demoChat holds the conversation. The transcript is what came of it so far, also when it failed; nil when no
// chat could be started.
func (p *program) demoChat(ctx context.Context, o demoOptions, t *trace) (*webchatservice.Transcript, Figures, error) {
	s, err := p.newStack(ctx, stackOptions{
		namespace: "Demo",
		file:      o.config,
		agents:    &chatsim.ScriptOptions{JoinDelay: 100 * time.Millisecond, ReplyDelay: 350 * time.Millisecond},
		trace:     t,
	})
	if err != nil {
		return nil, Figures{}, err
	}
	lines := demoLines[:]
	if len(o.say) > 0 {
		lines = o.say
	}
	c := &conversation{
		trace: t, client: s.client, events: s.events, lines: lines, patience: o.patience,
		who: webchatservice.StartChatIn{Nickname: "Vera", FirstName: "Vera", LastName: "Visitor", Subject: "busdemo"},
	}
	played := c.play(ctx)
	if !c.started && played != errInterrupted {
		return nil, Figures{}, together(played, s.close(ctx))
	}
	ended := endChat(ctx, t, s.client, s.events)

	// These are answered at once, by the plugins here.
	after := context.WithoutCancel(ctx)
	transcript, told := call(after, t, s.client, webchatservice.GetTranscript, struct{}{})
	figures, reported := call(after, t, s.client, Report, struct{}{})
	return &transcript, figures, together(played, ended, told, reported, s.close(ctx))
}
