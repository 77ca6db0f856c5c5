package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// deskPath is where the desk is, beside the wires.
const deskPath = "/desk"

// maxDeskBody limits a request to the desk, which may carry a file.
const maxDeskBody = 8 << 20

// deskBodyTimeout is how long an agent may take to send an order.
const deskBodyTimeout = 30 * time.Second

// deskEvent is a line of what the desk tells an agent.
type deskEvent struct {
	Chat string `json:"chat"`
	// Type is Started, that of an entry of the transcript, or Ended.
	Type string `json:"type"`
	// From is who it comes from, with Started the visitor.
	From string `json:"from,omitempty"`
	// Role is what From is: Client, Agent, Supervisor, External.
	Role string `json:"role,omitempty"`
	// Text is what was said or typed; with Started the subject, with Ended the reason.
	Text string `json:"text,omitempty"`
	// Hidden says that the visitor does not see it.
	Hidden bool `json:"hidden,omitempty"`
}

// The types of deskEvent besides those of transcripts.
const (
	deskStarted = "Started"
	deskEnded   = "Ended"
)

// deskOrder is what an agent wants done.
type deskOrder struct {
	Agent string `json:"agent"`
	Chat  string `json:"chat"`
	// Do is join, say, whisper, type, stop, notice, url, file, transfer, leave or end.
	Do string `json:"do"`
	// Text is the line, the preview of it, the notice, the URL, or the agent to transfer to.
	Text string `json:"text,omitempty"`
	// Name, ContentType and Data are a file; Data is base64.
	Name        string `json:"name,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Data        []byte `json:"data,omitempty"`
}

// desk lets programs play the agents of a simulator over HTTP. GET events?agent=NAME is the agent's presence: a stream
// of JSON, one deskEvent on each line, beginning with all chats that live; when it ends the agent leaves his chats. POST
// do takes a deskOrder, and answers {} or {"error": TEXT}. It is for this machine alone, and not for web pages.
type desk struct {
	sim  *chatsim.Server
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	chats  []*deskChat
	agents map[string]*deskAgent
}

// deskChat is a chat with what happened in it.
type deskChat struct {
	chat   *chatsim.Chat
	events []deskEvent
}

// deskAgent is an agent who is there.
type deskAgent struct {
	queue []deskEvent
	wake  chan struct{} // cap 1: there is something in the queue
	seats map[string]*chatsim.Seat
}

// newDesk opens the desk of a simulator, until close.
func newDesk(sim *chatsim.Server) *desk {
	d := &desk{sim: sim, agents: make(map[string]*deskAgent)}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	d.wg.Go(func() {
		for {
			c, err := sim.Desk().Next(ctx)
			if err != nil {
				return
			}
			d.wg.Go(func() { d.follow(ctx, c) })
		}
	})
	return d
}

func (d *desk) close() {
	d.stop()
	d.wg.Wait()
}

// follow tells the agents what happens in a chat.
func (d *desk) follow(ctx context.Context, c *chatsim.Chat) {
	k := &deskChat{chat: c}
	visitor := c.Snapshot().Visitor
	d.mu.Lock()
	d.chats = append(d.chats, k)
	d.tellLocked(k, deskEvent{Chat: c.ID(), Type: deskStarted, From: visitor.Nickname, Role: string(chatsim.Client), Text: visitor.Subject})
	d.mu.Unlock()
	for n := 0; ; n++ {
		e, err := c.Next(ctx, n)
		if err != nil {
			break
		}
		told := deskEvent{
			Chat: c.ID(), Type: string(e.Type), From: e.From.Nickname, Role: string(e.From.Type), Text: e.Text, Hidden: e.Hidden,
		}
		if e.File != nil {
			told.Text = e.File.Name
		}
		d.mu.Lock()
		d.tellLocked(k, told)
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tellLocked(k, deskEvent{Chat: c.ID(), Type: deskEnded, Text: string(c.Snapshot().Reason)})
	for i := range d.chats {
		if d.chats[i] == k {
			d.chats = append(d.chats[:i:i], d.chats[i+1:]...)
			break
		}
	}
}

func (d *desk) tellLocked(k *deskChat, e deskEvent) {
	k.events = append(k.events, e)
	for _, a := range d.agents {
		a.tell(e)
	}
}

func (a *deskAgent) tell(events ...deskEvent) {
	a.queue = append(a.queue, events...)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// ServeHTTP implements http.Handler.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !fromHere(r) {
		refuse(w, http.StatusForbidden, "the desk is for programs on this machine")
		return
	}
	switch path := strings.TrimPrefix(r.URL.Path, deskPath); {
	case path == "/events" && r.Method == http.MethodGet:
		d.serveEvents(w, r)
	case path == "/do" && r.Method == http.MethodPost:
		d.serveOrder(w, r)
	default:
		refuse(w, http.StatusNotFound, "the desk has GET events and POST do")
	}
}

// fromHere reports whether a request comes from a program of this machine. A web page is none: its browser sends Origin,
// or Sec-Fetch-Site where it sends no Origin, as for an image; or it has come to this address by a name of its own.
func fromHere(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" && loopback(host)
}

func loopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // a client that is gone needs no answer
}

func (d *desk) serveEvents(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("agent")
	a := &deskAgent{wake: make(chan struct{}, 1), seats: make(map[string]*chatsim.Seat)}
	d.mu.Lock()
	switch {
	case strings.TrimSpace(name) == "":
		d.mu.Unlock()
		refuse(w, http.StatusBadRequest, "an agent needs a name")
		return
	case d.agents[name] != nil:
		d.mu.Unlock()
		refuse(w, http.StatusConflict, fmt.Sprintf("there is an agent %s already", name))
		return
	}
	d.agents[name] = a
	for _, k := range d.chats {
		a.tell(k.events...)
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.agents, name)
		for _, s := range a.seats {
			_ = s.Leave() // from a chat that has ended nobody needs to leave
		}
	}()

	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	for {
		d.mu.Lock()
		queue := a.queue
		a.queue = nil
		d.mu.Unlock()
		for _, e := range queue {
			if out.Encode(e) != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-a.wake:
		case <-r.Context().Done():
			return
		}
	}
}

func (d *desk) serveOrder(w http.ResponseWriter, r *http.Request) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "an order is application/json")
		return
	}
	// A writer that knows no deadlines is a test's.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(deskBodyTimeout))
	o, err := readOrder(http.MaxBytesReader(w, r.Body, maxDeskBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the order cannot be read: "+err.Error())
		return
	}
	if err := d.carryOut(o); err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}\n")) // a client that is gone needs no answer
}

// readOrder reads one order, and nothing behind it.
func readOrder(r io.Reader) (o deskOrder, err error) {
	in := json.NewDecoder(r)
	in.DisallowUnknownFields()
	if err := in.Decode(&o); err != nil {
		return deskOrder{}, err
	}
	if _, err := in.Token(); err != io.EOF {
		return deskOrder{}, errors.New("there is something behind it")
	}
	return o, nil
}

func (d *desk) carryOut(o deskOrder) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.agents[o.Agent]
	if a == nil {
		return fmt.Errorf("there is no agent %s", o.Agent)
	}
	c, ok := d.sim.Chat(o.Chat)
	if !ok {
		return errors.New("there is no such chat")
	}
	seat := a.seats[o.Chat]
	if o.Do == "join" {
		if seat != nil {
			return errors.New("you are in this chat already")
		}
		seat, err := c.Join(o.Agent, chatsim.RoleAgent)
		if err == nil {
			a.seats[o.Chat] = seat
		}
		return err
	}
	if seat == nil {
		return errors.New("you are not in this chat; join it first")
	}
	var err error
	switch o.Do {
	case "say":
		_, err = seat.Say(o.Text)
	case "whisper":
		_, err = seat.Whisper(o.Text)
	case "type":
		_, err = seat.Type(o.Text)
	case "stop":
		_, err = seat.StopTyping()
	case "notice":
		_, err = seat.Notice(o.Text, nil)
	case "url":
		_, err = seat.PushURL(o.Text)
	case "file":
		_, err = seat.SendFile(o.Name, o.ContentType, o.Data)
	case "transfer":
		err = d.transferLocked(a, o)
	case "leave":
		delete(a.seats, o.Chat)
		err = seat.Leave()
	case "end":
		delete(a.seats, o.Chat)
		err = seat.End()
	default:
		err = fmt.Errorf("nobody knows how to %q", o.Do)
	}
	return err
}

// transferLocked gives the agent's seat to another one.
func (d *desk) transferLocked(a *deskAgent, o deskOrder) error {
	b := d.agents[o.Text]
	seat := a.seats[o.Chat]
	switch {
	case b == nil:
		return fmt.Errorf("there is no agent %s", o.Text)
	case b.seats[o.Chat] != nil:
		return fmt.Errorf("%s is in this chat already", o.Text)
	}
	second, err := seat.Chat().Join(o.Text, chatsim.RoleAgent)
	if err != nil {
		return err
	}
	b.seats[o.Chat] = second
	delete(a.seats, o.Chat)
	return seat.Leave()
}
