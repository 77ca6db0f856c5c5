package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// root returns the program's commands. None of cobra's templates is set: with one, text/template gets into the program, and
// with that all methods that reflection could ask for, three megabytes.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "busdemo",
		Short: "Show the bus and WebChatService at work",
		Long: "busdemo plays a whole chat on the bus, through WebChatService, against a simulated Genesys server:\n" +
			"no account and no network are needed. Without a command it does what busdemo demo does.",
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
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
		versionCommand(),
	)
	completeFlags(root)
	root.SetHelpCommand(helpCommand(root))
	return root
}

// version is that of the module this program was built from, and the commit where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown version"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return fmt.Sprintf("%s (%s, %s/%s)", v, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s version %s\n", cmd.Root().Name(), cmd.Root().Version)
			return err
		},
	}
}

// completeFlags tells shells the values of the flags that have some.
func completeFlags(root *cobra.Command) {
	values := map[string]cobra.CompletionFunc{
		"transport": cobra.FixedCompletions([]cobra.Completion{gmsrest.Name, gmscometd.Name}, cobra.ShellCompDirectiveNoFileComp),
		"config": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return []cobra.Completion{"yaml", "yml", "json", "toml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		"listen": cobra.FixedCompletions([]cobra.Completion{"127.0.0.1:8080", "127.0.0.1:0"}, cobra.ShellCompDirectiveNoFileComp),
		"desk":   cobra.FixedCompletions([]cobra.Completion{"http://127.0.0.1:8080" + deskPath}, cobra.ShellCompDirectiveNoFileComp),
	}
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			complete, known := values[f.Name]
			switch {
			case f.Value.Type() == "bool":
				return
			case !known:
				complete = cobra.NoFileCompletions
			}
			if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // a flag of ours is registered twice
			}
		})
	}
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
	if n, ok := bus.Nearest(name, names); ok {
		return fmt.Sprintf("; did you mean %s%s?", prefix, n)
	}
	return "; " + otherwise
}
