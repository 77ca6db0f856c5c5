package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// serve runs busdemo sim on the loopback. It returns the first line of output, and what stops it.
func serve(t *testing.T, args ...string) (first string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int, 1)
	var stderr strings.Builder
	go func() {
		status <- run(ctx, append([]string{"sim", "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), w, &stderr, nil)
		_ = w.Close()
	}()
	first, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	stopped := sync.OnceFunc(func() {
		cancel()
		assert.Equal(t, exitOK, <-status)
		assert.Empty(t, stderr.String())
	})
	t.Cleanup(stopped)
	return first, stopped
}

func TestSimAddresses(t *testing.T) {
	first, _ := serve(t)
	require.Regexp(t, `^\{"gms":"http://127\.0\.0\.1:\d+/genesys/2/chat/customer-support",`+
		`"cometd":"http://127\.0\.0\.1:\d+/genesys/cometd","files":"http://127\.0\.0\.1:\d+/genesys/2/chat-ntf"\}\n$`, first)
}

// shipped returns a configuration file that the project ships, with its address replaced by another simulator's.
func shipped(t *testing.T, name, first string) (file string) {
	t.Helper()
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	address, err := url.Parse(urls["gms"])
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join("../../configs", name))
	require.NoError(t, err)
	require.Contains(t, string(data), ": http://127.0.0.1:8080/")
	require.Contains(t, string(data), "  #ajaxTimeout: 3000")
	file = filepath.Join(t.TempDir(), name)
	text := strings.ReplaceAll(string(data), "127.0.0.1:8080", address.Host)
	text = strings.ReplaceAll(text, "#ajaxTimeout: 3000", "ajaxTimeout: 600000") // a busy machine takes its time
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// TestSimAndDemo plays the demo between two runs of the program over the loopback, with the files that the project
// ships.
func TestSimAndDemo(t *testing.T) {
	first, _ := serve(t)
	for _, name := range []string{"busdemo.yaml", "gms-cometd.yaml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			got := run(t.Context(), []string{"demo", "--json", "--config", shipped(t, name, first)}, strings.NewReader(""), &stdout, &stderr, nil)
			assert.Equal(t, exitOK, got)
			assert.Empty(t, stderr.String())
			var names []string
			for l := range strings.Lines(stdout.String()) {
				var e entry
				require.NoError(t, json.Unmarshal([]byte(l), &e))
				names = append(names, string(e.Kind)+" "+e.Name)
			}
			assertOrder(t, strings.Join(names, "\n"), conversationOrder...)
		})
	}
}

// TestSimAndChat holds a conversation between two runs of the program over the loopback.
func TestSimAndChat(t *testing.T) {
	first, stop := serve(t)
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))

	file := filepath.Join(t.TempDir(), "webchat.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "webchat:\n  dataURL: %s\n  pollRateMin: 250\n  ajaxTimeout: 600000\n", urls["gms"]), 0o600))
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
}

// TestFaults: about as many requests go wrong as was asked for, the same ones with the same seed, and none any more once
// it is stopped.
func TestFaults(t *testing.T) {
	trials := func(seed uint64) (wrong []int) {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(nil)
			defer sim.Close()
			stop := spoil(sim, faultOptions{every: 100 * time.Millisecond, seed: seed})
			ask := func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, gmssim.URL(sim), strings.NewReader("nickname=Ada"))
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if resp, err := sim.Client().Do(r); err == nil { // a request that goes wrong is what is asked for
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
			for range 200 {
				ask()
				time.Sleep(50 * time.Millisecond)
			}
			stop()
			for range 50 {
				ask()
			}
			for i, r := range sim.Requests() {
				if r.Faulty {
					wrong = append(wrong, i)
				}
			}
		})
		return wrong
	}
	first := trials(4)
	assert.Greater(t, len(first), 50)
	assert.Less(t, first[len(first)-1], 201)
	assert.Equal(t, first, trials(4))
	assert.NotEqual(t, first, trials(5))
}

func TestSimSeed(t *testing.T) {
	var ids [2]string
	for i := range ids {
		first, stop := serve(t, "--seed", "7", "--faults", "1h")
		var urls map[string]string
		require.NoError(t, json.Unmarshal([]byte(first), &urls))
		resp, err := http.PostForm(urls["gms"], url.Values{"nickname": {"Ada"}})
		require.NoError(t, err)
		var answer struct{ ChatID string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		require.NoError(t, resp.Body.Close())
		ids[i] = answer.ChatID
		stop()
	}
	assert.NotEmpty(t, ids[0])
	assert.Equal(t, ids[0], ids[1])
}

func TestReachable(t *testing.T) {
	assert.Equal(t, "127.0.0.1:80", reachable("0.0.0.0:80"))
	assert.Equal(t, "127.0.0.1:80", reachable("[::]:80"))
	assert.Equal(t, "[::1]:80", reachable("[::1]:80"))
	assert.Equal(t, "chat.test:80", reachable("chat.test:80"))
}

// TestSimServices: the names of the chat services can be chosen, as those that other clients have built in.
func TestSimServices(t *testing.T) {
	first, _ := serve(t, "--service", "request-chat", "--service", "sales")
	var urls map[string]string
	require.NoError(t, json.Unmarshal([]byte(first), &urls))
	require.True(t, strings.HasSuffix(urls["gms"], "/genesys/2/chat/request-chat"), urls["gms"])
	for name, want := range map[string]int{"request-chat": http.StatusOK, "sales": http.StatusOK, "customer-support": http.StatusBadRequest} {
		address := strings.Replace(urls["gms"], "request-chat", name, 1)
		resp, err := http.PostForm(address, url.Values{"nickname": {"Vera"}}) //nolint:noctx // it is answered at once
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, want, resp.StatusCode, name)
	}
	trial{}.run(t, "sim", "--service", "a/b").assertLine(t, exitUsage, "--service", "a/b")
}

// TestDeskSlowOrder: an order that never comes to its end keeps no connection.
func TestDeskSlowOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close() //nolint:errcheck // nothing to lose
		d := newDesk(sim)
		defer d.close()
		l, err := sim.Network().Listen("127.0.0.1:80")
		require.NoError(t, err)
		server := &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		c, err := sim.DialContext(t.Context(), "tcp", "127.0.0.1:80")
		require.NoError(t, err)
		_, err = io.WriteString(c, "POST /desk/do HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		begin := time.Now()
		answer, err := io.ReadAll(c) // to the end of the connection
		require.NoError(t, err)
		assert.Contains(t, string(answer), "cannot be read")
		assert.LessOrEqual(t, time.Since(begin), deskBodyTimeout+time.Second)
		require.NoError(t, server.Close())
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}
