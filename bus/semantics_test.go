package bus_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
)

var update = flag.Bool("update", false, "rewrite docs/semantics.md")

// An answer is one question that a clone of CXBus must decide: a row of cxbus
// 10, or one of its conformance vectors.
type answer struct {
	n        int
	question string
	cxbus    string // what CXBus does
	here     string // what this bus does
	why      string // why that differs; empty if it is the same
	opts     *bus.Options
	proof    func(w *world)
}

// proves is the test that proves the answer.
func (a answer) proves(kind string) string { return fmt.Sprintf("%s %02d", kind, a.n) }

// world is what a proof works with: a bus with two plugins that are ready.
type world struct {
	*testing.T
	b    *bus.Bus
	a, c *bus.Client
	logs *logs
}

func (w *world) ctx() context.Context { return w.Context() }

// ok requires that there is no error.
func (w *world) ok(err error) {
	w.Helper()
	require.NoError(w, err)
}

// is requires a kind of error.
func (w *world) is(err error, kind error) {
	w.Helper()
	require.ErrorIs(w, err, kind)
}

// equal compares.
func (w *world) equal(want, got any) {
	w.Helper()
	require.Equal(w, want, got)
}

// handle registers a command of A.
func (w *world) handle(member string, h func(ctx context.Context, in any) (any, error)) {
	w.Helper()
	w.ok(w.a.RegisterCommand(member, h))
}

// call calls as C.
func (w *world) call(name string, in any) (any, error) { return w.c.Call(w.ctx(), name, in) }

// publish publishes as A.
func (w *world) publish(event string, payload any) {
	w.Helper()
	w.ok(w.a.Publish(w.ctx(), event, payload))
}

func (w *world) republish(event string, payload any) {
	w.Helper()
	w.ok(w.a.Republish(w.ctx(), event, payload))
}

// sees subscribes as C and writes down the payloads.
func (w *world) sees(event string, opts ...bus.SubscribeOption) (*list[any], *bus.Subscription) {
	w.Helper()
	got := &list[any]{}
	s, err := w.c.Subscribe(event, func(_ context.Context, e bus.Event[any]) { got.add(e.Data) }, opts...)
	w.ok(err)
	return got, s
}

// register takes one more namespace.
func (w *world) register(namespace string) *bus.Client {
	w.Helper()
	return register(w, w.b, namespace)
}

// constant is a command that gives v.
func constant(v any) func(context.Context, any) (any, error) {
	return func(context.Context, any) (any, error) { return v, nil }
}

// TestSemantics proves every answer of docs/semantics.md.
func TestSemantics(t *testing.T) {
	for _, kind := range []struct {
		name string
		all  []answer
		want int
	}{
		{"question", append(questions(), moreQuestions()...), 40},
		{"vector", vectors(), 30},
	} {
		require.Len(t, kind.all, kind.want)
		for i, a := range kind.all {
			require.Equal(t, i+1, a.n)
			t.Run(a.proves(kind.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := &world{T: t, logs: &logs{}}
					opts := bus.Options{}
					if a.opts != nil {
						opts = *a.opts
					}
					opts.Logger = newLogger(w.logs)
					w.b = bus.New(&opts)
					w.a, w.c = readyClient(t, w.b, "A"), readyClient(t, w.b, "C")
					a.proof(w)
					require.NoError(t, w.b.Close(context.Background()))
				})
			})
		}
	}
}

const semanticsHead = `# Semantics

What CXBus leaves open or gets wrong, and what this bus does about it. Each line is proven by the test that is named
in front of it (` + "`go test ./bus -run 'TestSemantics/question_07'`" + `). An empty last column means that the two agree.

The tables are generated from the tests: ` + "`go test ./bus -run TestSemanticsDocument -update`" + `.

`

// TestSemanticsDocument holds docs/semantics.md to the table.
func TestSemanticsDocument(t *testing.T) {
	var s strings.Builder
	s.WriteString(semanticsHead)
	table := func(title, intro, kind string, all []answer) {
		fmt.Fprintf(&s, "## %s\n\n%s\n\n| test | question | CXBus | here | why it differs |\n| --- | --- | --- | --- | --- |\n", title, intro)
		for _, a := range all {
			for _, cell := range []string{a.question, a.cxbus, a.here, a.why} {
				require.NotContains(t, strings.ReplaceAll(cell, `\|`, ""), "|")
				require.NotContains(t, cell, "\n")
			}
			require.NotEmpty(t, a.question)
			require.NotEmpty(t, a.cxbus)
			require.NotEmpty(t, a.here)
			fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n", a.proves(kind), a.question, a.cxbus, a.here, a.why)
		}
	}
	table("Questions", "What a clone of CXBus must decide.", "question", append(questions(), moreQuestions()...))
	s.WriteString("\n")
	table("Conformance vectors", "What was observed when the original ran. Vectors that need a browser name what takes their place.", "vector", vectors())
	const path = "../docs/semantics.md"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(s.String()), 0o666))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, s.String(), string(text), "run go test ./bus -run TestSemanticsDocument -update")
}
