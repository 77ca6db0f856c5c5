package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// endCommand ends a chat.
const endCommand = "/end"

// maxUnsettled is how many lines are sent that the server has not answered yet. No more are read meanwhile, so that a
// pipe that is faster than the chat waits.
const maxUnsettled = 50

// chatOptions are the flags of busdemo chat.
type chatOptions struct {
	config    string
	transport string
	nickname  string
}

func (p *program) chatCommand() *cobra.Command {
	var o chatOptions
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Chat in the terminal",
		Long: "chat holds a chat in the terminal: against the embedded simulator, or against the service that a\n" +
			"configuration names. Each line of standard input is a message. " + endCommand + ", the end of the input and\n" +
			"Ctrl-C end the chat and show its transcript. A line that begins with // is sent with one / less.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(o.nickname) == "" {
				return &usageError{errors.New("--name wants a name that is not empty")}
			}
			if err := checkTransport(o.transport, o.config); err != nil {
				return err
			}
			return p.chat(cmd.Context(), o)
		},
	}
	configFlag(cmd.Flags(), &o.config)
	transportFlag(cmd.Flags(), &o.transport)
	cmd.Flags().StringVar(&o.nickname, "name", "Visitor", "your `NAME` in the chat")
	return cmd
}

// screen is where a chat is shown. Safe for concurrent use.
type screen struct {
	p    painter
	echo bool // show own lines too, as nobody sees them being typed

	mu  sync.Mutex // guards the rest
	w   io.Writer
	err error // of the first write that failed
}

func (s *screen) print(colour, who, text string) {
	var b strings.Builder
	for _, l := range cleanLines(text) {
		fmt.Fprintf(&b, "%s %s\n", s.p.paint(colour, clean(who)), l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		_, s.err = io.WriteString(s.w, b.String())
	}
}

// note shows what is not said by anybody.
func (s *screen) note(format string, args ...any) {
	s.print(dim, "*", fmt.Sprintf(format, args...))
}

// redirect shows on w what comes from now on.
func (s *screen) redirect(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = w
}

func (s *screen) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// show shows an event, if it is one that the visitor is to know of.
func (s *screen) show(e bus.Event[any]) {
	switch d := e.Data.(type) {
	case webchatservice.MessageReceivedData:
		for i, m := range d.Messages {
			s.showLine(m, d.Messages[i+1:])
		}
	case webchatservice.DisconnectedData:
		s.note("the connection is lost; trying again: %s", d.Error.Text)
	case webchatservice.EndedData:
		s.note("the chat has ended (%s)", d.Reason)
	default:
		switch e.Name() {
		case webchatservice.Reconnected.Name():
			s.note("the connection is back")
		case webchatservice.ChatServerWentOffline.Name():
			s.note("the chat server is not available for now")
		case webchatservice.ChatServerBackOnline.Name():
			s.note("the chat server is available again")
		}
	}
}

// showLine shows a line of the transcript; after are those of the batch that follow it.
func (s *screen) showLine(m webchatservice.Message, after []webchatservice.Message) {
	own := m.Own()
	switch m.Type {
	case chat.KindTypingStarted:
		past := slices.ContainsFunc(after, func(later webchatservice.Message) bool { return later.From == m.From })
		if !own && !past {
			s.note("%s is typing ...", m.From.Name)
		}
	case chat.KindTypingStopped:
	case chat.KindMessage:
		if !own || s.echo {
			s.print(nameColour(m.From), m.From.Name+":", m.Text)
		}
	default:
		if !own {
			s.note("%s", line(m))
		}
	}
}

func (p *program) chat(ctx context.Context, o chatOptions) error {
	s, err := p.newStack(ctx, stackOptions{namespace: "Chat", file: o.config, transport: o.transport})
	if err != nil {
		return err
	}
	defer p.sayEnding(ctx)()
	started := startChat(ctx, nil, s.client, webchatservice.StartChatIn{Nickname: o.nickname, FirstName: o.nickname})
	var talked error
	c := &tty{screen: &screen{w: p.stdout}, restore: func() {}}
	if started == nil {
		if c, err = p.tty(); err != nil {
			return together(err, endChat(ctx, nil, s.client, s.events), s.close(ctx))
		}
	}
	v := &visitor{stack: s, screen: c.screen}
	if started == nil {
		v.screen.note("connected; %s ends the chat", endCommand)
		talked = v.talk(ctx, c.lines)
	}
	c.restore()
	if talked == errInterrupted { // a terminal in raw mode sends no signal
		p.interrupt()
	}
	ended := endChat(ctx, nil, s.client, s.events)
	v.look()
	transcript, told := call(context.WithoutCancel(ctx), nil, s.client, webchatservice.GetTranscript, struct{}{})
	closed := s.close(ctx) // settles what has not been
	v.sending.Wait()

	err = v.screen.failed()
	if err == nil && (started == nil || started == errInterrupted) {
		fmt.Fprintln(p.stdout)
		err = printTranscript(p.stdout, v.screen.p, transcript)
	}
	if err != nil {
		return fmt.Errorf("write the chat: %w", err)
	}
	return together(started, talked, v.unsent(), ended, told, closed)
}

// visitor is the person at the terminal.
type visitor struct {
	stack   *stack
	screen  *screen
	place   int // in the events: what comes from here on is not shown yet
	ended   *webchatservice.EndedData
	sending sync.WaitGroup
	lost    atomic.Int64 // lines that were not sent
}

// unsent returns an error if lines were not sent.
func (v *visitor) unsent() error {
	if n := v.lost.Load(); n > 0 {
		return fmt.Errorf("%s not sent; the chat says which", plural(int(n), "line"))
	}
	return nil
}

// lostError is returned when a chat ended because visitor and server had lost each other.
type lostError struct{ reason webchatservice.EndReason }

func (e *lostError) Error() string {
	return fmt.Sprintf("the chat was given up (%s): the server could not be reached for too long", e.reason)
}

// talk shows what comes and sends what is typed. At the end of the input it waits until the server has everything. It
// returns nil when the chat has ended or is to be ended, errInterrupted when ctx has ended, a *lostError when nobody
// wanted the end.
func (v *visitor) talk(ctx context.Context, lines lineReader) error {
	stop := make(chan struct{})
	defer close(stop)
	typed := readLines(lines, stop)
	settled := make(chan struct{}, maxUnsettled)
	unsettled := 0
	for {
		changed := v.look()
		switch {
		case v.screen.failed() != nil:
			return nil
		case v.ended != nil:
			if v.ended.Reason == webchatservice.EndLost || v.ended.Reason == webchatservice.EndExpired {
				return &lostError{v.ended.Reason}
			}
			return nil
		case typed == nil && unsettled == 0:
			return nil
		}
		in := typed
		if unsettled == maxUnsettled {
			in = nil
		}
		select {
		case <-changed:
		case <-settled:
			unsettled--
		case l, more := <-in:
			if !more {
				typed = nil
				continue
			}
			var long *longLineError
			text, command := strings.CutPrefix(l.text, "/")
			switch {
			case errors.As(l.err, &long):
				v.notSent(long.begin+"...", long)
			case l.err != nil:
				return l.err
			case strings.TrimSpace(l.text) == endCommand:
				return nil
			case command && !strings.HasPrefix(text, "/"):
				v.screen.note("unknown command %s; %s ends the chat, and a line that begins with // is sent", l.text, endCommand)
			case strings.TrimSpace(text) != "":
				unsettled++
				v.say(ctx, text, settled)
			}
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

// look shows the events that have come, and returns a channel that is closed when there are more.
func (v *visitor) look() <-chan struct{} {
	events, changed := v.stack.events.since(v.place)
	for _, e := range events {
		v.screen.show(e)
		if d, ok := e.Data.(webchatservice.EndedData); ok {
			v.ended = &d
		}
	}
	v.place += len(events)
	return changed
}

// say sends a line, after those before it, and does not wait for that; the visitor is told if it failed.
// Every command settles, so that there is an end to sending; settled is told, and has room.
func (v *visitor) say(ctx context.Context, text string, settled chan<- struct{}) {
	sent := webchatservice.SendMessage.Go(ctx, v.stack.client, webchatservice.SendMessageIn{Message: text})
	v.sending.Go(func() {
		if _, err := sent.Result(context.WithoutCancel(ctx)); err != nil {
			v.notSent(text, err)
		}
		settled <- struct{}{}
	})
}

// notSent tells that a line was not sent.
func (v *visitor) notSent(text string, err error) {
	v.lost.Add(1)
	v.screen.note("not sent: %s (%s)", text, oneLine(err))
}
