package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSimAndChat holds a conversation between two runs of the program over the loopback.
func TestSimAndChat(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"sim", "--listen", "127.0.0.1:0"}, strings.NewReader(""), w, io.Discard, nil)
		_ = w.Close()
	}()
	first, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/genesys/2/chat/customer-support$`, urls["gms"])

	file := filepath.Join(t.TempDir(), "webchat.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "webchat:\n  dataURL: %s\n  pollRateMin: 250\n", urls["gms"]), 0o600))
	typing, stdin := io.Pipe()
	done := make(chan struct{})
	stdout := &output{on: "Ann: Hello", call: func() {
		go func() {
			defer close(done)
			_, _ = io.WriteString(stdin, "good day\nbye\n")
		}()
	}}
	var stderr strings.Builder
	got := run(t.Context(), []string{"chat", "--config", file}, typing, stdout, &stderr, nil)
	_ = typing.Close()
	assert.Equal(t, exitOK, got)
	assert.Empty(t, stderr.String())
	assertOrder(t, stdout.String(), "Ann: Hello", "You said: good day", "You said: bye", "Goodbye", "ended (agent)", "Transcript")
	<-done
	_ = stdin.Close()

	stop()
	assert.Equal(t, exitOK, <-status)
}

func TestReachable(t *testing.T) {
	assert.Equal(t, "127.0.0.1:80", reachable("0.0.0.0:80"))
	assert.Equal(t, "127.0.0.1:80", reachable("[::]:80"))
	assert.Equal(t, "[::1]:80", reachable("[::1]:80"))
	assert.Equal(t, "chat.test:80", reachable("chat.test:80"))
}
