package main

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// output is a writer that calls a function the first time that what was written holds a text.
type output struct {
	mu   sync.Mutex // guards the rest
	b    strings.Builder
	on   string
	call func()
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(b)
	if o.call != nil && strings.Contains(o.b.String(), o.on) {
		o.call()
		o.call = nil
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// outcome is what a run of the program came to.
type outcome struct {
	status         int
	stdout, stderr string
	sim            *chatsim.Server // the embedded server, closed; nil if none was made
}

// trial is a run of the program with an embedded server at hand.
type trial struct {
	stdin io.Reader
	// prepare is called with the embedded server before the program uses it.
	prepare func(*chatsim.Server)
	// interrupt is the output at which Ctrl-C comes; "" for never.
	interrupt string
	// interruptErr is the output on standard error at which Ctrl-C comes; "" for never.
	interruptErr string
	// ctx, if set, is what the end of is Ctrl-C too.
	ctx context.Context
	// hangUp is the output at which SIGHUP comes, after change was called; "" for never.
	hangUp string
	change func()
	// authorization is the header of that name.
	authorization string
}

func (tr trial) run(t *testing.T, args ...string) outcome {
	t.Helper()
	if tr.ctx == nil {
		tr.ctx = t.Context()
	}
	ctx, cancel := context.WithCancel(tr.ctx)
	defer cancel()
	var got outcome
	stdout := &output{on: tr.interrupt}
	if tr.interrupt != "" {
		stdout.call = cancel
	}
	signals := make(chan os.Signal, 1)
	if tr.hangUp != "" {
		stdout.on, stdout.call = tr.hangUp, func() { tr.change(); signals <- syscall.SIGHUP }
	}
	stdin := tr.stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	stderr := &output{on: tr.interruptErr}
	if tr.interruptErr != "" {
		stderr.call = cancel
	}
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, hangUp: signals, authorization: chat.NewSecret(tr.authorization), newSim: func(o *chatsim.Options) *chatsim.Server {
		got.sim = simulator.New(o)
		if tr.prepare != nil {
			tr.prepare(got.sim)
		}
		return got.sim
	}}
	got.status = p.run(ctx, args)
	got.stdout, got.stderr = stdout.String(), stderr.String()
	return got
}

// requireOK requires that all went well.
func (o outcome) requireOK(t *testing.T) {
	t.Helper()
	require.Equal(t, exitOK, o.status, "stderr: %s", o.stderr)
	require.Empty(t, o.stderr)
}

// assertLine asserts that the program failed with one clear line on standard error, which holds all of
// want.
func (o outcome) assertLine(t *testing.T, status int, want ...string) {
	t.Helper()
	assert.Equal(t, status, o.status)
	assert.True(t, strings.HasPrefix(o.stderr, "busdemo: "), o.stderr)
	assert.Equal(t, len(o.stderr)-1, strings.Index(o.stderr, "\n"), "not one line: %q", o.stderr)
	for _, w := range want {
		assert.Contains(t, o.stderr, w)
	}
}

// assertEnded asserts that no chat is left on the embedded server.
func (o outcome) assertEnded(t *testing.T) {
	t.Helper()
	for _, c := range o.sim.Chats() {
		assert.True(t, c.Ended, "a chat is left on the server")
		assert.Equal(t, chatsim.EndedByVisitor, c.Reason)
	}
}

// assertOrder asserts that the texts are in s, one after the other.
func assertOrder(t *testing.T, s string, texts ...string) {
	t.Helper()
	rest := s
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !assert.True(t, found, "%q does not come in its place in:\n%s", text, s) {
			return
		}
		rest = after
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args   string
		status int
		want   []string
	}{
		{"demoo", exitUsage, []string{`unknown command "demoo"`, "did you mean demo?"}},
		{"qwertyuiop", exitUsage, []string{`unknown command "qwertyuiop"`, "busdemo help lists the commands"}},
		{"help nope", exitUsage, []string{`unknown command "nope"`}},
		{"--jsn", exitUsage, []string{"unknown flag --jsn", "did you mean --json?"}},
		{"demo --jsno", exitUsage, []string{"unknown flag --jsno", "did you mean --json?"}},
		{"demo -x", exitUsage, []string{"unknown flag -x", "busdemo demo --help"}},
		{"sim --listne :0", exitUsage, []string{"did you mean --listen?"}},
		{"demo extra", exitUsage, []string{`unexpected argument "extra"`, "busdemo demo takes none"}},
		{"demo --config", exitUsage, []string{"--config"}},
		{"demo --say=", exitUsage, []string{"--say"}},
		{"demo --patience 0", exitUsage, []string{"--patience 0s is out of range", "30s"}},
		{"demo --patience soon", exitUsage, []string{"--patience", "soon"}},
		{"demo --transport avian", exitUsage, []string{`--transport "avian" is unknown`, "gms or gms-cometd"}},
		{"demo --transport gms --config x.yaml", exitUsage, []string{"--transport", "--config"}},
		{"chat --transport avian", exitUsage, []string{"--transport"}},
		{"chat --name=", exitUsage, []string{"--name"}},
		{"demo --config=", exitUsage, []string{"--config", "want the name of a file, or leave the flag out"}},
		{"--config=", exitUsage, []string{"--config", "want the name of a file"}},
		{"chat --config=", exitUsage, []string{"--config", "want the name of a file"}},
		{"load --config=", exitUsage, []string{"--config", "want the name of a file"}},
		{"demo --transport=", exitUsage, []string{"--transport", "want gms or gms-cometd"}},
		{"chat --transport=", exitUsage, []string{"--transport", "want gms or gms-cometd"}},
		{"load --transport=", exitUsage, []string{"--transport", "want gms or gms-cometd"}},
		{"load --sessions 0", exitUsage, []string{"--sessions 0 is out of range", "1 to 100000"}},
		{"load --sessions many", exitUsage, []string{"--sessions", "many"}},
		{"load --rate -1", exitUsage, []string{"--rate -1 is out of range"}},
		{"load --rate NaN", exitUsage, []string{"--rate NaN is out of range"}},
		{"load --for 0", exitUsage, []string{"--for 0s is out of range", "10s"}},
		{"load --faults 1ms", exitUsage, []string{"--faults 1ms is out of range", "10ms"}},
		{"load --faults 1s --config x.yaml", exitUsage, []string{"--faults", "--config"}},
		{"load --transport avian", exitUsage, []string{"--transport"}},
		{"load --sesions 3", exitUsage, []string{"did you mean --sessions?"}},
		{"load --config missing.yaml", exitFailure, []string{"missing.yaml", "no such"}},
		{"sim --desk --listen 0.0.0.0:0", exitUsage, []string{"--desk is for this machine alone", "127.0.0.1"}},
		{"agent --desk nowhere", exitUsage, []string{`--desk "nowhere" is no address`, "http://127.0.0.1:8080/desk"}},
		{"agent --name=", exitUsage, []string{"--name"}},
		{"agent hello", exitUsage, []string{`unexpected argument "hello"`}},
		{"agnet", exitUsage, []string{"did you mean agent?"}},
		{"sim --faults -1s", exitUsage, []string{"--faults -1s is out of range"}},
		{"sim --seed x", exitUsage, []string{"--seed", "x"}},
		{"sim --listen nowhere", exitUsage, []string{`--listen "nowhere"`, "127.0.0.1:8080"}},
		{"sim --listen 127.0.0.1:99999", exitFailure, []string{"--listen 127.0.0.1:99999", "a port is a number from 0 to 65535"}},
		{"sim --listen=", exitUsage, []string{`--listen ""`, "127.0.0.1:8080"}},
		{"sim --listen 192.0.2.1:0", exitFailure, []string{"--listen 192.0.2.1:0", "this machine has no such address"}},
		{"demo --config missing.yaml", exitFailure, []string{"missing.yaml", "no such"}},
		{"chat --config missing.yaml", exitFailure, []string{"missing.yaml", "no such"}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := trial{}.run(t, strings.Fields(tt.args)...)
			got.assertLine(t, tt.status, tt.want...)
			assert.Empty(t, got.stdout)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"help", "demo"}, {"demo", "--help"}} {
		got := trial{}.run(t, args...)
		got.requireOK(t)
		assert.Contains(t, got.stdout, "Usage:")
		assert.Contains(t, got.stdout, "--say")
	}
}

func TestSuggest(t *testing.T) {
	assert.Equal(t, "; did you mean chat?", suggest("caht", []string{"demo", "chat"}, "", "x"))
	assert.Equal(t, "; did you mean commands?", suggest("com", []string{"demo", "commands"}, "", "x"))
	assert.Equal(t, "; x", suggest("", []string{"demo"}, "", "x"))
}
