package main

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

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
		got.requireOK(t)
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
		got := trial{stdin: strings.NewReader(strings.Repeat("x", maxLine+1))}.run(t, "chat")
		got.assertLine(t, exitFailure, "read standard input", "too long")
		assert.Contains(t, got.stdout, "Transcript")
		got.assertEnded(t)
	})
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
