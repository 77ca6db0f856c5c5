package webchatservice_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

func TestPrefilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		_, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{})
		assert.ErrorIs(t, err, webchatservice.ErrFilters)
		all, err := r.app.Call(t.Context(), "WebChatService.addPrefilter", json.RawMessage(`{"filters":{"source":"secret","flags":"gi"}}`))
		require.NoError(t, err)
		require.Len(t, all, 1)
		again, err := call(r, webchatservice.AddPrefilter, webchatservice.AddPrefilterIn{Filters: []webchatservice.Filter{
			{Regexp: regexp.MustCompile("^#")}, {Regexp: regexp.MustCompile("^#")},
		}})
		require.NoError(t, err)
		assert.Len(t, again, 2, "equal ones count once")
		for _, bad := range []string{`{"filters":[{"source":"("}]}`, `{"filters":["text"]}`, `{"filters":{"source":"a","flags":"q"}}`} {
			_, err = r.app.Call(t.Context(), "WebChatService.addPrefilter", json.RawMessage(bad))
			assert.Error(t, err, bad)
		}

		m.AgentJoin(id, "Bob")
		for _, line := range []string{"a SECRET", "plain", "#tag", "{start:123456789}"} {
			m.AgentSay(id, "Bob", line)
			synctest.Wait()
		}
		assert.Equal(t, []string{"plain"}, texts(r.take()))
		out, err := call(r, webchatservice.SendFilteredMessage, webchatservice.SendFilteredMessageIn{
			Message: "token 77", Regex: webchatservice.Filter{Regexp: regexp.MustCompile(`^token \d+$`)},
		})
		require.NoError(t, err)
		assert.NotEmpty(t, out.MessageID)
		assert.Equal(t, []string{"token 77"}, m.VisitorLines(id))
		assert.Empty(t, texts(r.take()))

		for number := range again {
			_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
			require.NoError(t, err)
			_, err = call(r, webchatservice.RemovePrefilter, webchatservice.RemoveIn{ID: number})
			assert.ErrorIs(t, err, webchatservice.ErrUnknownID)
		}
		m.AgentSay(id, "Bob", "a secret")
		assert.Equal(t, []string{"a secret"}, texts(r.take()))
	})
}

// TestFilterJSON: a filter prints back as it was read, for the browser's side too.
func TestFilterJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := rigFor(t, onMemory(m))
		out, err := r.app.Call(t.Context(), "WebChatService.addPrefilter", map[string]any{"filters": []any{
			map[string]any{"source": `\{x\}`, "flags": "gi"}, map[string]any{"source": "a(?i)b"}, map[string]any{"source": "(?:c)"},
		}})
		require.NoError(t, err)
		var got []string
		for _, number := range []string{"0", "1", "2"} {
			j, err := out.(webchatservice.Prefilters)[number].MarshalJSON()
			require.NoError(t, err)
			got = append(got, string(j))
		}
		assert.Equal(t, []string{`{"source":"\\{x\\}","flags":"i"}`, `{"source":"a(?i)b"}`, `{"source":"(?:c)"}`}, got)
	})
}

func TestPreProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		r := newRig(t, onMemory(m))
		defer r.stop()
		r.begin()

		_, err := r.app.Call(t.Context(), "WebChatService.registerPreProcessor", nil)
		assert.ErrorIs(t, err, webchatservice.ErrNoPreProcessor)
		register := func(f webchatservice.PreProcessor) string {
			out, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{PreProcessor: f})
			require.NoError(t, err)
			return out.ID
		}
		loud := register(func(m webchatservice.Message) *webchatservice.Message {
			m.Text += "!"
			m.HTML = true
			m.Index = 999
			return &m
		})
		register(func(webchatservice.Message) *webchatservice.Message { return nil })
		register(func(webchatservice.Message) *webchatservice.Message { panic("broken") })
		m.AgentSay(id, "Bob", "Hello")
		d := payload[webchatservice.MessageReceivedData](t, r.take(), "messageReceived")
		assert.Equal(t, "Hello!", d.Messages[0].Text)
		assert.Equal(t, true, d.Messages[0].HTML)
		assert.Equal(t, int64(2), d.Messages[0].Index)
		assert.Contains(t, string(d.Messages[0].Original), `"Hello"`)
		_, err = call(r, webchatservice.RemovePreProcessor, webchatservice.RemoveIn{ID: loud})
		require.NoError(t, err)
		m.AgentSay(id, "Bob", "Hello")
		assert.Equal(t, []string{"Hello"}, texts(r.take()))
	})
}

func TestMasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Masks = []*regexp.Regexp{regexp.MustCompile(`\b\d{4}-\d{4}\b`)}
		opts.Config = &webchatservice.Config{Masks: []string{`(?i)pin \d+`}}
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		_, err := call(r, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "card 1234-5678"})
		require.NoError(t, err)
		m.AgentSay(id, "Bob", "you said 1234-5678 and PIN 99")
		events := r.take()
		assert.Equal(t, []string{"card ***", "you said *** and ***"}, texts(events))
		assert.NotContains(t, printed(t, events), "1234-5678")
		assert.Equal(t, []string{"card 1234-5678"}, m.VisitorLines(id), "the server gets it whole")
	})
}

// TestGoOnlyCommandsSaySo: the registry tells which commands only Go can call.
func TestGoOnlyCommandsSaySo(t *testing.T) {
	for _, c := range registered(t).Commands {
		short := shortName(c.Name)
		goOnly := slices.Contains(webchatservice.Rejections()[short], webchatservice.ErrGoOnly)
		assert.Equal(t, goOnly, strings.Contains(c.Doc, "only Go can call it"), c.Name)
	}
}
