package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "busdemo",
		Short: "Show the bus and WebChatService at work",
		Long: "busdemo plays a whole chat on the bus, through WebChatService, against a simulated Genesys server:\n" +
			"no account and no network are needed. Without a command it does what busdemo demo does.",
		Args:              noArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(flagError)
	p.demoFlags(root)
	root.AddCommand(
		p.demoCommand(),
		p.chatCommand(),
		p.simCommand(),
		p.agentCommand(),
		p.loadCommand(),
		p.commandsCommand(),
		p.eventsCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	return root
}

// helpCommand stands in for cobra's help command, which answers an unknown topic with status 0.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, args[0])
			}
			return topic.Help()
		},
	}
}

// noArgs refuses arguments. Those of the program itself are commands that it does not have.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasParent():
		return unknownCommand(cmd, args[0])
	}
	return &usageError{fmt.Errorf("unexpected argument %q: %s takes none", args[0], cmd.CommandPath())}
}

func unknownCommand(root *cobra.Command, name string) error {
	names := []string{"help"}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return &usageError{fmt.Errorf("unknown command %q%s", name, suggest(name, names, "", "busdemo help lists the commands"))}
}

func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		hint := cmd.CommandPath() + " --help lists the flags"
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return &usageError{fmt.Errorf("unknown flag -%s; %s", name, hint)}
		}
		return &usageError{fmt.Errorf("unknown flag --%s%s", name, suggest(name, names, "--", hint))}
	}
	return &usageError{err}
}

// suggest returns what to add to a complaint about a name that is none of names.
func suggest(name string, names []string, prefix, otherwise string) string {
	best, distance := "", len(name)/2+1 // what differs in more than half of its letters is another word
	for _, n := range names {
		d := editDistance(name, n)
		if strings.HasPrefix(n, name) && name != "" {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return "; " + otherwise
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, best)
}

// editDistance counts the letters to insert, remove or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
