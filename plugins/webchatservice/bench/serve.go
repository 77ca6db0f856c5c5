package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// peers are the addresses of the servers.
type peers struct {
	GMS     string `json:"gms"`     // the simulator, REST
	CometD  string `json:"cometd"`  // the simulator, Bayeux
	Push    string `json:"push"`    // the pusher, Bayeux on websockets alone
	Control string `json:"control"` // what makes them work
}

// serve runs the servers until stdin ends.
func serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	to, stop, err := listen()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(to); err != nil {
		return errors.Join(err, stop())
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		drain(stdin)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
	return stop()
}

// listen starts the servers at a free port of the loopback.
func listen() (peers, func() error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return peers{}, nil, err
	}
	desk := &desk{seats: make(map[string]*chatsim.Seat)}
	sim := simulator.New(&chatsim.Options{Script: desk.note, SilenceLimit: -1, Keep: 1})
	push := newPusher()
	mux := http.NewServeMux()
	mux.Handle("/", sim.Handler())
	mux.Handle("/push", push)
	mux.HandleFunc("/control/push", push.control)
	mux.HandleFunc("/control/say", desk.control)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	stop := func() error {
		err := errors.Join(sim.Close(), server.Close())
		push.close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
	at := l.Addr().String()
	urls := sim.BaseURLs(at)
	return peers{GMS: urls["gms"], CometD: urls["cometd"], Push: "http://" + at + "/push", Control: "http://" + at + "/control"}, stop, nil
}

// desk makes the agents of the simulator speak. It knows them by the nicknames of
// their visitors.
type desk struct {
	mu    sync.Mutex
	seats map[string]*chatsim.Seat
}

// note is the script of the chats: an agent comes, and says nothing before he is
// asked to.
func (d *desk) note(ctx context.Context, c *chatsim.Chat) {
	seat, err := c.Join("Ann", chatsim.RoleAgent)
	if err != nil {
		return
	}
	name := c.Snapshot().Visitor.Nickname
	d.mu.Lock()
	d.seats[name] = seat
	d.mu.Unlock()
	<-ctx.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seats[name] == seat {
		delete(d.seats, name)
	}
}

// control makes the agents of all visitors whose names begin with who say n lines,
// one each interval, once there are as many agents as of says.
func (d *desk) control(w http.ResponseWriter, r *http.Request) {
	who, n, every := r.FormValue("who"), atoi(r.FormValue("n")), time.Duration(atoi(r.FormValue("every")))
	seats := d.at(who)
	for of := atoi(r.FormValue("of")); len(seats) < of; seats = d.at(who) {
		select {
		case <-time.After(time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	if n == 0 {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for i := range n {
		for _, s := range seats {
			if _, err := s.Say(lineText + " " + strconv.Itoa(i)); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
				return
			}
		}
		<-t.C
	}
	fmt.Fprintln(w, len(seats)*n)
}

// at returns the seats of the agents of the visitors whose names begin with who.
func (d *desk) at(who string) (seats []*chatsim.Seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, seat := range d.seats {
		if strings.HasPrefix(name, who) {
			seats = append(seats, seat)
		}
	}
	return seats
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // 0 is what makes no sense, and does nothing
	return n
}
