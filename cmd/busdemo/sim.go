package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// simOptions are the flags of busdemo sim.
type simOptions struct {
	listen string
	desk   bool
	// services are the names of the chat services; nil for the default.
	services []string
	faults   faultOptions
}

func (p *program) simCommand() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve the simulated chat server, with a scripted agent",
		Long: "sim serves the simulated chat server, every wire on one port, until it is interrupted. The first line\n" +
			"of output is a JSON object from each wire to its base URL. The agent greets, repeats every line, hands\n" +
			"over to another one at the line transfer, sends a file at the line file, and ends the chat at the line\n" +
			"bye.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := p.endOnHangUp(cmd.Context())
			defer stop()
			return p.sim(ctx, o)
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "serve at this `ADDR`, host:port; port 0 takes a free one")
	cmd.Flags().BoolVar(&o.desk, "desk", false, "let busdemo agent play the agents, in place of the script; on this machine alone")
	cmd.Flags().StringSliceVar(&o.services, "service", nil, "serve the chat service of this `NAME` in place of customer-support; may be repeated")
	faultFlags(cmd.Flags(), &o.faults)
	return cmd
}

func (p *program) sim(ctx context.Context, o simOptions) error {
	listen := o.listen
	host, _, err := net.SplitHostPort(listen)
	switch {
	case err != nil:
		return &usageError{fmt.Errorf("--listen %q is no address; want host:port, such as 127.0.0.1:8080", listen)}
	case o.desk && !loopback(host):
		return &usageError{fmt.Errorf("--desk is for this machine alone, and --listen %s is for others too; want 127.0.0.1", listen)}
	}
	for _, name := range o.services {
		if name == "" || url.PathEscape(name) != name {
			return &usageError{fmt.Errorf("--service %q is no name of a chat service; want letters, digits and dashes, such as request-chat", name)}
		}
	}
	if err := o.faults.check(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return listenError(listen, err)
	}
	options := &chatsim.Options{Seed: o.faults.seed, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Services: o.services})}}
	if o.desk {
		options.Script = chatsim.Nobody
	}
	sim := p.newSim(options)
	stopFaults := spoil(sim, o.faults)
	urls := sim.BaseURLs(reachable(l.Addr().String()))
	handler, closeDesk := sim.Handler(), func() {}
	if o.desk {
		d := newDesk(sim)
		closeDesk = d.close
		mux := http.NewServeMux()
		mux.Handle(deskPath+"/", d)
		mux.Handle("/", handler)
		handler = mux
		urls["desk"] = "http://" + reachable(l.Addr().String()) + deskPath
	}
	// Requests that last, as those of agents, end with the server.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return life },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	first, err := addressLine(sim.Faces(), urls)
	if err == nil {
		_, err = p.stdout.Write(first)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
			served <- err // for below
		}
	}
	stopFaults()
	// The chats end first, so that no request waits for one; then the connections.
	closed := sim.Close()
	closeDesk()
	end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // requests that did not end in time
	}
	if last := <-served; err == nil && !errors.Is(last, http.ErrServerClosed) {
		err = last
	}
	return together(err, closed)
}

// listenError says why a program cannot listen at an address, and what to do.
func listenError(listen string, err error) error {
	var lookup *net.DNSError
	var address *net.AddrError
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "; another program listens there: end it, or take another port, 0 for a free one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "; this machine has no such address: 127.0.0.1 is for this machine alone, 0.0.0.0 for all"
	case errors.Is(err, syscall.EACCES):
		hint = "; ports below 1024 are the system's: take a higher one"
	case errors.As(err, &lookup):
		hint = "; want an address of this machine, such as 127.0.0.1:8080"
	case errors.As(err, &address):
		hint = "; a port is a number from 0 to 65535"
	}
	return fmt.Errorf("--listen %s: %w%s", listen, err, hint)
}

// addressLine returns the first line of output: a JSON object from wire to address, in the order of the faces; the desk
// comes last.
func addressLine(faces []chatsim.Face, urls map[string]string) ([]byte, error) {
	var names []string
	for _, f := range faces {
		names = append(names, slices.Sorted(maps.Keys(f.BaseURLs("")))...)
	}
	if urls["desk"] != "" {
		names = append(names, "desk")
	}
	line := []byte("{")
	for i, name := range names {
		if i > 0 {
			line = append(line, ',')
		}
		for _, text := range []string{name, urls[name]} {
			b, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			line = append(append(line, b...), ':')
		}
		line = line[:len(line)-1]
	}
	return append(line, "}\n"...), nil
}

// reachable returns an address at which a program here reaches a listener at addr: one that listens
// everywhere is reached at the loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
