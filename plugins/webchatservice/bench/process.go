package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// childVar marks the processes that this program starts, for its own tests,
// which are another program.
const childVar = "CHATBENCH_CHILD"

func child(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), childVar+"=1")
	return cmd, nil
}

// startServers starts the process of the servers. stop ends it and waits for
// it.
func startServers(ctx context.Context) (to peers, stop func() error, err error) {
	cmd, err := child(ctx, "-serve")
	if err != nil {
		return peers{}, nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return peers{}, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return peers{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return peers{}, nil, err
	}
	stop = func() error {
		_ = in.Close() // that is the sign to end
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("servers: %w: %s", err, &stderr)
		}
		return nil
	}
	if err := json.NewDecoder(out).Decode(&to); err != nil {
		return peers{}, nil, fmt.Errorf("servers did not say where they are: %w, %w", err, stop())
	}
	return to, stop, nil
}

// inProcess runs an entry in a process of its own.
func inProcess(ctx context.Context, name string, to peers, scale float64) (sample, error) {
	cmd, err := child(ctx, "-entry", name, "-scale", strconv.FormatFloat(scale, 'g', -1, 64))
	if err != nil {
		return sample{}, err
	}
	addresses, err := json.Marshal(to)
	if err != nil {
		return sample{}, err
	}
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = bytes.NewReader(addresses), &stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	var s sample
	if err := json.Unmarshal(out, &s); err != nil {
		return sample{}, fmt.Errorf("%s printed %q: %w", name, out, err)
	}
	return s, nil
}

// drain reads until the other side closes.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
