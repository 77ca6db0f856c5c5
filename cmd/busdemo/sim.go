package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// simOptions are the flags of busdemo sim.
type simOptions struct {
	listen string
	faults faultOptions
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
		RunE: func(cmd *cobra.Command, _ []string) error { return p.sim(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "serve at this `ADDR`, host:port; port 0 takes a free one")
	faultFlags(cmd.Flags(), &o.faults)
	return cmd
}

func (p *program) sim(ctx context.Context, o simOptions) error {
	listen := o.listen
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return &usageError{fmt.Errorf("--listen %q is no address; want host:port, such as 127.0.0.1:8080", listen)}
	}
	if err := o.faults.check(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w; is the port in use? port 0 takes a free one", listen, err)
	}
	sim := p.newSim(&chatsim.Options{Seed: o.faults.seed})
	stopFaults := spoil(sim, o.faults)
	server := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	first, err := addressLine(sim.BaseURLs(reachable(l.Addr().String())))
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

// addressLine returns the first line of output: a JSON object from wire to address.
func addressLine(urls map[string]string) ([]byte, error) {
	line, err := json.Marshal(struct {
		GMS    string `json:"gms"`
		CometD string `json:"cometd"`
		Files  string `json:"files"`
	}{urls["gms"], urls["cometd"], urls["files"]})
	return append(line, '\n'), err
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
