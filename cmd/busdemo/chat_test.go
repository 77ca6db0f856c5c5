package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// typed is a line that somebody types after a while.
type typed struct {
	after time.Duration
	line  string
}

// pipe returns a standard input at which the lines are typed. It stays open until stop is called, which
// also waits for the typing to cease.
func pipe(t *testing.T, lines ...typed) (stdin io.Reader, stop func()) {
	t.Helper()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, l := range lines {
			time.Sleep(l.after)
			if _, err := io.WriteString(w, l.line+"\n"); err != nil {
				return
			}
		}
	}()
	return r, func() {
		_ = r.Close()
		<-done
		_ = w.Close()
	}
}

func TestChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stdin, stop := pipe(t, typed{time.Second, "hello there"}, typed{2 * time.Second, "transfer"},
			typed{3 * time.Second, ""}, typed{0, "   "}, typed{0, "/nod"}, typed{0, "//slash"}, typed{2 * time.Second, " /end "})
		defer stop()
		got := trial{stdin: stdin}.run(t, "chat", "--name", "Zoe")
		got.requireOK(t)
		assertOrder(t, got.stdout, "/end ends the chat", "* Ann (agent) joined", "Ann: Hello Zoe", "Zoe: hello there",
			"* Ann is typing", "Ann: You said: hello there", "* Bob (agent) joined", "* Ann (agent) left", "Bob: Hello Zoe",
			"unknown command /nod", "Zoe: /slash", "You said: /slash", "* the chat has ended (visitor)",
			"Transcript", "Ann: Hello Zoe", "Zoe: hello there", "Bob: You said: /slash")
		got.assertEnded(t)
	})
}

func TestChatEndsWithInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{stdin: strings.NewReader("one\ntwo\nthree")}.run(t, "chat")
		got.requireOK(t)
		assertOrder(t, got.stdout, "Transcript", "Visitor: one", "Visitor: two", "Visitor: three")
		got.assertEnded(t)
	})
}

func TestChatEndedByAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stdin, stop := pipe(t, typed{time.Second, "bye"}, typed{time.Hour, "too late"})
		defer stop()
		got := trial{stdin: stdin}.run(t, "chat")
		got.requireOK(t)
		assertOrder(t, got.stdout, "Goodbye", "* the chat has ended (agent)", "Transcript", "Goodbye")
	})
}

// TestChatInterrupt: Ctrl-C ends the chat on the server and shows what was said.
func TestChatInterrupt(t *testing.T) {
	for _, moment := range []string{"connected", "(agent) joined", "Visitor: hello", "is typing", "You said: hello"} {
		t.Run(moment, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stdin, stop := pipe(t, typed{time.Second, "hello"})
				defer stop()
				got := trial{stdin: stdin, interrupt: moment}.run(t, "chat")
				assert.Equal(t, exitInterrupted, got.status)
				assert.Empty(t, got.stderr)
				assertOrder(t, got.stdout, moment, "* the chat has ended (visitor)", "Transcript", "Visitor (client) joined")
				got.assertEnded(t)
			})
		})
	}
}

func TestChatNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stdin, stop := pipe(t, typed{time.Second, "refused"}, typed{2 * time.Second, "taken"}, typed{2 * time.Second, "/end"})
		defer stop()
		got := trial{stdin: stdin, prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "send", Details: gmssim.Fault{Errors: []gmssim.Error{{Code: gmssim.CodeTooLong, Advice: "too long"}}}})
		}}.run(t, "chat")
		got.assertLine(t, exitFailure, "1 line not sent")
		assertOrder(t, got.stdout, "* not sent: refused", "Ann: You said: taken")
	})
}

func TestChatNetworkDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stdin, stop := pipe(t, typed{2 * time.Second, "while it is down"}, typed{20 * time.Second, "/end"})
		defer stop()
		got := trial{stdin: stdin, prepare: func(s *chatsim.Server) {
			time.AfterFunc(time.Second, s.Network().Refuse)
			time.AfterFunc(8*time.Second, s.Network().Heal)
		}}.run(t, "chat")
		got.requireOK(t)
		assertOrder(t, got.stdout, "* the connection is lost", "* the connection is back", "You said: while it is down")
	})
}

func TestChatLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stdin, stop := pipe(t)
		defer stop()
		got := trial{stdin: stdin, prepare: func(s *chatsim.Server) {
			time.AfterFunc(time.Second, s.Network().Refuse) // and it stays down
		}}.run(t, "chat")
		got.assertLine(t, exitFailure, "given up (lost)")
		assertOrder(t, got.stdout, "* the connection is lost", "* the chat has ended (lost)", "Transcript", "Ann: Hello")
	})
}

func TestChatLineTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", maxLine+1)
		for _, text := range []string{"before\n" + long + "\nafter\n", "before\n" + long + long + "\nafter\n", "before\nafter\n" + long} {
			got := trial{stdin: strings.NewReader(text)}.run(t, "chat")
			got.assertLine(t, exitFailure, "1 line not sent")
			assertOrder(t, got.stdout, "* not sent: xxx", "a line is longer than 65536 bytes", "Transcript", "Visitor: before", "Visitor: after")
			got.assertEnded(t)
		}
	})
}

// TestChatPipedFaster: a pipe that is faster than the chat waits, and every line of it is sent, in order.
func TestChatPipedFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4 * maxUnsettled
		var text strings.Builder
		for i := range n {
			fmt.Fprintln(&text, "line", i)
		}
		got := trial{stdin: strings.NewReader(text.String()), prepare: func(s *chatsim.Server) {
			s.Faults().Add(chatsim.Fault{Op: "send", DelayAnswer: 500 * time.Millisecond, Times: n})
		}}.run(t, "chat")
		got.requireOK(t)
		said := got.sim.Chats()[0].Lines(chatsim.Client)
		require.Len(t, said, n)
		for i, line := range said {
			require.Equal(t, fmt.Sprint("line ", i), line)
		}
	})
}

// TestChatSilentServer: Ctrl-C while the server is silent says what is being done.
func TestChatSilentServer(t *testing.T) {
	for _, args := range [][]string{{"chat"}, {"demo"}} {
		synctest.Test(t, func(t *testing.T) {
			stdin, stop := pipe(t)
			defer stop()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got := trial{stdin: stdin, ctx: ctx, prepare: func(s *chatsim.Server) {
				s.Faults().Add(chatsim.Fault{Op: "start", DelayAnswer: time.Hour, Times: 100})
				time.AfterFunc(100*time.Millisecond, cancel)
			}}.run(t, args...)
			assert.Equal(t, exitInterrupted, got.status)
			assert.Contains(t, got.stderr, "ending the chat; Ctrl-C once more quits at once")
		})
	}
}

// TestEditor: lines that arrive go above the line that is being typed.
func TestEditor(t *testing.T) {
	in, keyboard := io.Pipe()
	shown := make(chan struct{})
	screen := &output{on: "hello ", call: func() { close(shown) }}
	e, next := newEditor(in, screen, func() (int, int, error) { return 80, 24, nil })
	lines := make(chan input)
	go func() {
		for {
			text, err := next()
			lines <- input{text, err}
			if err != nil {
				return
			}
		}
	}()
	typing := func(text string) {
		t.Helper()
		_, err := io.WriteString(keyboard, text)
		require.NoError(t, err)
	}
	typing("hello ")
	<-shown
	_, err := io.WriteString(e, "Ann: in between\n")
	require.NoError(t, err)
	assert.Contains(t, screen.String(), "Ann: in between\r\n"+prompt+"hello ", "the prompt comes back with what was typed")
	typing("there\r")
	assert.Equal(t, input{text: "hello there"}, <-lines)
	typing("abc\x03")
	assert.Equal(t, input{err: errInterrupted}, <-lines)
}

// closedOutput is the pipe to a reader that has gone.
type closedOutput struct{ left int }

func (c *closedOutput) Write(b []byte) (int, error) {
	if c.left -= len(b); c.left < 0 {
		return 0, &fs.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	}
	return len(b), nil
}

// TestReaderHasSeenEnough: a reader that goes away, as head does, is no failure.
func TestReaderHasSeenEnough(t *testing.T) {
	for _, args := range [][]string{{"demo"}, {"demo", "--json"}, {"chat"}, {"commands"}, {"events"}, {"commands", "--json"}, {"version"}, {"help"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stderr strings.Builder
				status := run(t.Context(), args, strings.NewReader("hello\n"), &closedOutput{left: 5}, &stderr, nil)
				assert.Equal(t, exitOK, status)
				assert.Empty(t, stderr.String())
			})
		})
	}
}

// TestHostileText: what others write cannot do anything to the terminal.
func TestHostileText(t *testing.T) {
	const hostile = "\x1b]0;title\x07\x1b[2J\u009b31m\u202eevil\u2066\r\x00 end"
	for _, args := range [][]string{{"demo", "--say", hostile}, {"demo", "--json", "--say", hostile}, {"chat", "--name", "A\x1b[31m\u202e"}} {
		synctest.Test(t, func(t *testing.T) {
			stdin, stop := pipe(t, typed{time.Second, hostile}, typed{2 * time.Second, "/end"})
			defer stop()
			got := trial{stdin: stdin}.run(t, args...)
			for _, r := range got.stdout + got.stderr {
				if r != '\n' && unsafeRune(r) {
					t.Errorf("%q in the output of %v:\n%q", r, args, got.stdout)
					return
				}
			}
			assert.Contains(t, got.stdout, "evil")
		})
	}
}
