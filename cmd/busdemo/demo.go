package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// demoOptions are the flags of busdemo demo.
type demoOptions struct {
	json      bool
	config    string
	transport string
	say       []string
	patience  time.Duration
}

func (p *program) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play one whole conversation and show each command and event",
		Long: "demo plays one whole conversation: against the embedded simulator, or against the service that a\n" +
			"configuration names. Files go both ways, the network is lost and comes back, and the program is\n" +
			"started anew in the middle of the chat. It shows each command and event as it comes, then the\n" +
			"transcript and the figures of a plugin of its own.",
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
	configFlag(flags, &o.config)
	transportFlag(flags, &o.transport)
	flags.StringArrayVar(&o.say, "say", nil, "say this `TEXT`, in place of all that the demo does (repeatable)")
	flags.DurationVar(&o.patience, "patience", 30*time.Second, "how long to wait for an agent to come, or to answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		return p.demo(cmd.Context(), o)
	}
}

// configFlag gives a command the choice of the chat service.
func configFlag(flags *pflag.FlagSet, to *string) {
	flags.Var(&givenText{to, "want the name of a file, or leave the flag out for the embedded simulator"}, "config",
		"talk to the service that this `FILE` names in its section webchat")
}

// transportFlag gives a command that can use the embedded simulator the choice of the wire.
func transportFlag(flags *pflag.FlagSet, to *string) {
	flags.Var(&givenText{to, "want gms or gms-cometd, or leave the flag out"}, "transport",
		"talk to the embedded simulator over this `WIRE`: gms (default), or gms-cometd")
}

// givenText is the value of a flag that may be absent and, if it is there, not empty: an empty text is mostly a variable of a
// shell script that was not set.
type givenText struct {
	to   *string
	want string
}

// Set implements [pflag.Value].
func (g *givenText) Set(text string) error {
	if text == "" {
		return errors.New(g.want)
	}
	*g.to = text
	return nil
}

// String implements [pflag.Value].
func (g *givenText) String() string {
	if g.to == nil {
		return ""
	}
	return *g.to
}

// Type implements [pflag.Value].
func (g *givenText) Type() string { return "string" }

// checkTransport judges what transportFlag gave, beside the flag config.
func checkTransport(transport, config string) error {
	switch {
	case transport != "" && config != "":
		return &usageError{errors.New("--transport is for the embedded simulator; with --config the file selects the wire")}
	case transport != "" && transport != gmsrest.Name && transport != gmscometd.Name:
		return &usageError{fmt.Errorf("--transport %q is unknown; want %s or %s", transport, gmsrest.Name, gmscometd.Name)}
	}
	return nil
}

func (o *demoOptions) check() error {
	if err := checkTransport(o.transport, o.config); err != nil {
		return err
	}
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
	defer p.sayEnding(ctx)()
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
		transport: o.transport,
		keep:      true,
		agents:    &chatsim.ScriptOptions{JoinDelay: 100 * time.Millisecond, ReplyDelay: 350 * time.Millisecond},
		trace:     t,
	})
	if err != nil {
		return nil, Figures{}, err
	}
	c := &conversation{
		program: p, trace: t, stack: s, patience: o.patience,
		who: webchatservice.StartChatIn{Nickname: "Vera", FirstName: "Vera", LastName: "Visitor", Subject: "busdemo"},
	}
	acts := c.acts()
	if len(o.say) > 0 {
		acts = nil
		for _, text := range o.say {
			acts = append(acts, c.line(text))
		}
	}
	played := c.play(ctx, acts)
	if !c.started && played != errInterrupted {
		return nil, Figures{}, together(played, c.stack.close(ctx))
	}
	if !c.over(context.WithoutCancel(ctx)) {
		c.note("end", "Vera ends the chat.")
	}
	ended := endChat(ctx, t, c.stack.client, c.stack.events)

	// These are answered at once, by the plugins here.
	after := context.WithoutCancel(ctx)
	transcript, told := call(after, t, c.stack.client, webchatservice.GetTranscript, struct{}{})
	figures, reported := call(after, t, c.stack.client, Report, struct{}{})
	return &transcript, figures, together(played, ended, told, reported, c.stack.close(ctx))
}
