package main

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// maxAgentFile limits a file that an agent sends.
const maxAgentFile = 4 << 20

// agentOptions are the flags of busdemo agent.
type agentOptions struct {
	desk string
	name string
	join bool
}

const agentHelp = "/join [N] takes a chat, the first that waits or else the next that comes; /chats lists them; " +
	"/type [TEXT] and /stop show typing; /notice TEXT, /url URL, /whisper TEXT and /file PATH send other things than lines; " +
	"/transfer NAME hands over; /wait waits for the visitor's next line; /leave leaves the chat, /end ends it; " +
	"a line that begins with // is sent with one / less"

func (p *program) agentCommand() *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Be an agent of a simulator that runs elsewhere",
		Long: "agent is the terminal of an agent at the desk of a simulator, busdemo sim --desk. Each line of standard\n" +
			"input is said in the chat that was joined last, but for commands:\n\n  " +
			strings.ReplaceAll(agentHelp, "; ", "\n  ") + "\n\n" +
			"The end of the input and Ctrl-C leave all chats.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(o.name) == "" {
				return &usageError{errors.New("--name wants a name that is not empty")}
			}
			if u, err := url.Parse(o.desk); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return &usageError{fmt.Errorf("--desk %q is no address; want what busdemo sim --desk prints, such as http://127.0.0.1:8080/desk", o.desk)}
			}
			ctx, stop := p.endOnHangUp(cmd.Context())
			defer stop()
			return p.agent(ctx, o)
		},
	}
	cmd.Flags().StringVar(&o.desk, "desk", "http://127.0.0.1:8080"+deskPath, "sit at the desk at this `URL`")
	cmd.Flags().StringVar(&o.name, "name", "Ann", "your `NAME` in the chats")
	cmd.Flags().BoolVar(&o.join, "join", false, "join every chat by yourself")
	return cmd
}

func (p *program) agent(ctx context.Context, o agentOptions) error {
	c, err := sitDown(ctx, o.desk, o.name, p.deskTime)
	if err != nil {
		return err
	}
	con, err := p.tty()
	if err != nil {
		c.leave()
		return err
	}
	a := &agent{options: o, desk: c, screen: con.screen, chats: make(map[string]*agentChat)}
	a.screen.note("%s sits at the desk; /help lists the commands", o.name)
	worked := a.work(ctx, con.lines)
	if worked == errInterrupted {
		p.interrupt()
	}
	a.goHome(ctx)
	con.restore()
	c.leave()
	if err := a.screen.failed(); err != nil {
		return fmt.Errorf("write the chats: %w", err)
	}
	return worked
}

// agent is the person at the terminal. One goroutine uses it.
type agent struct {
	options agentOptions
	desk    *deskClient
	screen  *screen
	chats   map[string]*agentChat
	order   []*agentChat // as they came
	came    int
	current *agentChat
	wanted  *agentChat // the one that was asked for last
	// holdFor, when set, keeps the input back until an event that it accepts.
	holdFor func(*agentChat, deskEvent) bool
}

// agentChat is a chat as an agent sees it.
type agentChat struct {
	id      string
	number  int
	visitor string
	joined  bool
	agents  []string // who are in it
	before  []deskEvent
}

func (c *agentChat) String() string { return fmt.Sprintf("#%d %s", c.number, c.visitor) }

// work shows what comes and does what is typed. It returns nil at the end of the input, errInterrupted when ctx has
// ended.
func (a *agent) work(ctx context.Context, next lineReader) error {
	stop := make(chan struct{})
	defer close(stop)
	in := readLines(next, stop)
	for a.screen.failed() == nil {
		lines := in
		if a.holdFor != nil {
			lines = nil
		}
		select {
		case e, more := <-a.desk.events:
			if !more {
				return errors.New("the desk is gone: the simulator has ended")
			}
			a.show(ctx, e)
		case l, more := <-lines:
			var long *longLineError
			switch {
			case !more:
				return nil
			case errors.As(l.err, &long):
				a.screen.note("not done: %s", long)
				continue
			case l.err != nil:
				return l.err
			}
			if err := a.obey(ctx, l.text); err != nil && ctx.Err() == nil {
				a.screen.note("not done: %s", oneLine(err))
			}
		case <-ctx.Done():
			return errInterrupted
		}
	}
	return nil
}

// homeTime limits how long an agent waits, after the last order, for what came of the orders.
const homeTime = 5 * time.Second

// goHome leaves all chats, and shows what comes until it has left them: so whatever was done before is shown, too. The
// end of ctx does not cut it short.
func (a *agent) goHome(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), homeTime)
	defer cancel()
	a.options.join = false
	in := func(c *agentChat) bool { return c.joined }
	for _, c := range a.order {
		if c.joined { // it may have ended meanwhile, of which nothing has come yet: that comes
			_ = a.desk.do(ctx, deskOrder{Chat: c.id, Do: "leave"})
		}
	}
	for slices.ContainsFunc(a.order, in) && a.screen.failed() == nil {
		select {
		case e, more := <-a.desk.events:
			if !more {
				return
			}
			a.show(ctx, e)
		case <-ctx.Done():
			return
		}
	}
}

// show takes in an event, and shows it if it is from a chat of the agent's.
func (a *agent) show(ctx context.Context, e deskEvent) {
	c := a.chats[e.Chat]
	if c == nil {
		if e.Type != deskStarted {
			return // it was there before its beginning is told
		}
		a.came++
		c = &agentChat{id: e.Chat, number: a.came, visitor: e.From}
		a.chats[e.Chat] = c
		a.order = append(a.order, c)
		subject := ""
		if e.Text != "" {
			subject = " (" + e.Text + ")"
		}
		a.screen.note("%s%s waits", c, subject)
	}
	own := e.Role == string(chatsim.Agent) && e.From == a.options.name
	switch chatsim.EventType(e.Type) {
	case chatsim.ParticipantJoined:
		if e.Role == string(chatsim.Agent) {
			c.agents = append(c.agents, e.From)
		}
		if own && !c.joined {
			c.joined = true
			if a.current == nil || a.wanted == c {
				a.current = c
			}
			for _, b := range c.before {
				a.print(c, b)
			}
			c.before = nil
		}
	case chatsim.ParticipantLeft:
		if i := slices.Index(c.agents, e.From); i >= 0 && e.Role == string(chatsim.Agent) {
			c.agents = slices.Delete(c.agents, i, i+1)
		}
		if own {
			a.print(c, e)
			a.drop(c)
		}
	}
	switch {
	case c.joined:
		a.print(c, e)
	case e.Type != deskStarted && e.Type != deskEnded && !own:
		c.before = append(c.before, e)
	}
	if e.Type == deskEnded {
		if !c.joined {
			a.screen.note("%s is gone (%s)", c, e.Text)
		}
		a.drop(c)
		delete(a.chats, c.id)
		a.order = slices.DeleteFunc(a.order, func(o *agentChat) bool { return o == c })
	}
	if a.holdFor != nil && a.holdFor(c, e) {
		a.holdFor = nil
	}
	if a.options.join && e.Type == deskStarted {
		if err := a.desk.do(ctx, deskOrder{Chat: c.id, Do: "join"}); err != nil && ctx.Err() == nil {
			a.screen.note("not done: %s", oneLine(err))
		}
	}
}

// drop takes in that the agent is no longer in a chat.
func (a *agent) drop(c *agentChat) {
	c.joined = false
	if a.current != c {
		return
	}
	a.current = nil
	for _, o := range a.order {
		if o.joined {
			a.current = o
		}
	}
}

// print shows what happened in a chat.
func (a *agent) print(c *agentChat, e deskEvent) {
	who := fmt.Sprintf("#%d %s", c.number, e.From)
	own := e.Role == string(chatsim.Agent) && e.From == a.options.name
	switch chatsim.EventType(e.Type) {
	case chatsim.Message:
		if own && !a.screen.echo {
			return
		}
		if e.Hidden {
			who += " (whispers)"
		}
		colour := yellow
		if e.Role == string(chatsim.Client) {
			colour = cyan
		}
		a.screen.print(colour, who+":", e.Text)
	case chatsim.TypingStarted:
		switch {
		case own:
		case e.Text != "":
			a.screen.note("%s is typing: %s", who, e.Text)
		default:
			a.screen.note("%s is typing ...", who)
		}
	case chatsim.TypingStopped:
	case chatsim.ParticipantJoined:
		a.screen.note("%s joined", who)
	case chatsim.ParticipantLeft:
		a.screen.note("%s left", who)
	case deskStarted:
	case deskEnded:
		a.screen.note("%s: the chat has ended (%s)", c, e.Text)
	default:
		a.screen.note("%s: %s %s", who, e.Type, e.Text)
	}
}

// obey does what a line of input says.
func (a *agent) obey(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	order := deskOrder{Do: strings.TrimPrefix(word, "/"), Text: rest}
	switch {
	case word == "":
		return nil
	case !strings.HasPrefix(line, "/"):
		order = deskOrder{Do: "say", Text: line}
	case strings.HasPrefix(line, "//"):
		order = deskOrder{Do: "say", Text: line[1:]}
	default:
		switch word {
		case "/help":
			for _, l := range strings.Split(agentHelp, "; ") {
				a.screen.note("%s", l)
			}
			return nil
		case "/chats":
			a.list()
			return nil
		case "/join":
			return a.pick(ctx, rest)
		case "/wait":
			if a.current == nil {
				return errors.New("you are in no chat; /join takes one")
			}
			waited := a.current
			a.holdFor = func(c *agentChat, e deskEvent) bool {
				return c == waited && (e.Type == string(chatsim.Message) && e.Role == string(chatsim.Client) || !c.joined)
			}
			return nil
		case "/file":
			data, err := readSmall(rest)
			if err != nil {
				return err
			}
			order.Text, order.Data = "", data
			order.Name, order.ContentType = filepath.Base(rest), mime.TypeByExtension(filepath.Ext(rest))
		case "/type", "/stop", "/leave", "/end":
		case "/notice", "/url", "/whisper", "/transfer":
			if rest == "" {
				return fmt.Errorf("%s wants something behind it", word)
			}
		default:
			return fmt.Errorf("unknown command %s; /help lists them", word)
		}
	}
	if a.current == nil {
		return errors.New("you are in no chat; /join takes one")
	}
	order.Chat = a.current.id
	return a.desk.do(ctx, order)
}

// readSmall reads a file that may be sent.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxAgentFile:
		return nil, fmt.Errorf("%s has %d bytes; %d can be sent", path, info.Size(), maxAgentFile)
	}
	return os.ReadFile(path)
}

func (a *agent) list() {
	if len(a.order) == 0 {
		a.screen.note("there is no chat")
	}
	for _, c := range a.order {
		state := "waits"
		switch {
		case c == a.current:
			state = "your chat"
		case c.joined:
			state = "your chat, too"
		case len(c.agents) > 0:
			state = "with " + strings.Join(c.agents, ", ")
		}
		a.screen.note("%s: %s", c, state)
	}
}

// pick joins the chat of that number, or goes to it; "" is the first that waits, or else the next that comes.
func (a *agent) pick(ctx context.Context, number string) error {
	if number != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(number, "#"))
		i := slices.IndexFunc(a.order, func(c *agentChat) bool { return c.number == n })
		if err != nil || i < 0 {
			return fmt.Errorf("there is no chat %s; /chats lists them", number)
		}
		return a.join(ctx, a.order[i])
	}
	for _, c := range a.order {
		if len(c.agents) == 0 {
			return a.join(ctx, c)
		}
	}
	a.screen.note("waiting for a chat")
	a.holdFor = func(c *agentChat, e deskEvent) bool {
		if e.Type == deskStarted && !a.options.join {
			if err := a.join(ctx, c); err != nil {
				a.screen.note("not done: %s", oneLine(err))
				return true
			}
		}
		return c.joined
	}
	return nil
}

// join takes a chat, and holds the input back until the agent is in it.
func (a *agent) join(ctx context.Context, c *agentChat) error {
	if c.joined {
		a.current = c
		return nil
	}
	a.wanted = c
	if err := a.desk.do(ctx, deskOrder{Chat: c.id, Do: "join"}); err != nil {
		return err
	}
	a.holdFor = func(o *agentChat, e deskEvent) bool { return o == c && (c.joined || e.Type == deskEnded) }
	return nil
}
