// Command busdemo shows the bus and the WebChatService plugin at work: it plays a whole chat, holds one
// in the terminal, serves the simulated chat server, seats an agent there, puts a load on a server, and lists
// what is registered on the bus. docs/busdemo.md is its manual.
//
// Exit status: 0 when all went well, 1 when something failed, 2 for a wrong command line, 130 after
// Ctrl-C. What failed is told in one line on standard error; a configuration with several mistakes has a
// line for each.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// authorizationVariable is the environment variable with the header Authorization, for webchat.enableCustomHeader: a
// command line can be seen by everybody on the machine.
const authorizationVariable = "BUSDEMO_AUTHORIZATION"

// The exit statuses.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells count
)

// errInterrupted is returned by a command that the user broke off and that left everything in order.
var errInterrupted = errors.New("interrupted")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends the chat in order, a second one the process
	// A reader that goes away (busdemo | head) is an error of writing, so that the chat is ended.
	signal.Ignore(syscall.SIGPIPE)
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, hangUp))
}

// run is the program: it carries out args and returns the exit status. The end of ctx is Ctrl-C. A signal
// from hangUp, which may be nil, makes it read its configuration again; a command that has none ends in order.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, hangUp <-chan os.Signal) int {
	p := &program{
		stdin: stdin, stdout: stdout, stderr: stderr, newSim: simulator.New, hangUp: hangUp,
		authorization: chat.NewSecret(os.Getenv(authorizationVariable)),
	}
	return p.run(ctx, args)
}

// program is what the commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	newSim         func(*chatsim.Options) *chatsim.Server // makes the embedded server
	hangUp         <-chan os.Signal                       // asks for the configuration to be read again
	interrupt      context.CancelFunc                     // does what Ctrl-C does
	authorization  chat.Secret                            // the header of that name; zero for none
	deskTime       time.Duration                          // how long a desk has for an order; 0 means orderTime
}

func (p *program) run(ctx context.Context, args []string) int {
	ctx, p.interrupt = context.WithCancel(ctx)
	defer p.interrupt()
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // not nil, which would mean os.Args
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, syscall.EPIPE) { // whoever reads (busdemo demo | head) has seen enough
		return exitOK
	}
	interrupted := errors.Is(err, errInterrupted)
	if !interrupted || err != errInterrupted {
		p.complain(err)
	}
	var usage *usageError
	switch {
	case interrupted:
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailure
}

// logger returns the log of the bus: what nobody else is told of, and only what is a fault.
func (p *program) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// complain tells on standard error what failed: each problem of a configuration in a line of its own, all
// else in one.
func (p *program) complain(err error) {
	lines := []string{oneLine(err)}
	if e := (*busconfig.Error)(nil); errors.As(err, &e) {
		lines = cleanLines(err.Error())
	}
	for _, l := range lines {
		fmt.Fprintln(p.stderr, "busdemo: "+l)
	}
}

// sayEndingAfter is how long the end of a chat may take after Ctrl-C until that is explained.
const sayEndingAfter = time.Second

// sayEnding says, when ctx has ended and stop is not called soon after, what takes so long.
func (p *program) sayEnding(ctx context.Context) (stop func()) {
	over, said := make(chan struct{}), make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(said)
		select {
		case <-time.After(sayEndingAfter):
			fmt.Fprintln(p.stderr, "busdemo: ending the chat; Ctrl-C once more quits at once")
		case <-over:
		}
	})
	return func() {
		close(over)
		if !cancel() {
			<-said
		}
	}
}

// endOnHangUp returns a context that also ends when the terminal is closed (SIGHUP), for commands without a
// configuration to be read again.
func (p *program) endOnHangUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-p.hangUp:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// together returns nil when all errs are nil, the one that is not, or all of them joined.
func together(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
