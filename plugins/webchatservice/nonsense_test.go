package webchatservice_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// JSON that is odd, or that nobody wants to read, costs no line: what can be read is read, and what is refused is asked
// for again.
func TestOddJSON(t *testing.T) {
	nested := func(n int) string { return `"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		first, last string // members put at the begin and the end of the object
		refused     bool   // the server stops saying it after a while
	}{
		"depth 65":         {first: nested(65)},
		"depth 100,000":    {first: nested(100000), refused: true},
		"unclosed":         {first: `"x":` + strings.Repeat("[", 100000), refused: true},
		"1e999":            {first: `"x":1e999,"y":-1e999,"z":1e-999`},
		"2^53+1":           {first: `"x":9007199254740993,"y":123456789012345678901234567890`},
		"keys twice":       {first: `"statusCode":1,"chatEnded":true,"messages":[{"x":1}],"nextPosition":99`},
		"keys twice, late": {last: `"x":1,"x":2,"chatEnded":true,"chatEnded":false,"messages":[]`, refused: true},
		"other case":       {first: `"STATUSCODE":2,"ChatEnded":true,"Messages":[],"NEXTPOSITION":1`, last: `"StatusCode":1,"chatended":true,"MESSAGES":null`},
		"empty key":        {first: `"":{"":[]}`},
		"NUL in a key":     {first: `"\u0000":"\u0000"`},
		"lone surrogates":  {first: `"\ud800":"\udfff","y":"\ud800\ud800"`},
	} {
		t.Run(name, func(t *testing.T) {
			onEachWire(t, func(t *testing.T, f *field) {
				r, a := f.begin(t)
				a.converse(t, 1)
				odd := f.sim.Faults().Add(chatsim.Fault{Op: f.delivery, Times: -1, Rewrite: func(body []byte) []byte {
					body = bytes.TrimSpace(body)
					if len(body) < 3 || body[0] != '{' || body[len(body)-1] != '}' {
						return body
					}
					out := []byte("{")
					if c.first != "" {
						out = append(append(out, c.first...), ',')
					}
					out = append(out, body[1:len(body)-1]...)
					if c.last != "" {
						out = append(append(out, ','), c.last...)
					}
					return append(out, '}')
				}})
				a.converse(t, 3)
				time.Sleep(30 * time.Second)
				assert.NotZero(t, odd.Hits())
				if c.refused {
					odd.Remove()
					time.Sleep(2 * time.Minute)
				}
				a.hear(t, "that is all")
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"agent 0", "agent 0", "agent 1", "agent 2", "that is all"}, r.lines(chat.RoleAgent))
				a.balance(t)
				assert.Zero(t, a.gaps)
				require.NoError(t, end(r))
			})
		})
	}
}

// An id that is a number keeps its digits.
func TestIDThatIsALargeNumber(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		const large = "9007199254740993" // 2^53 + 1
		r, a := f.begin(t)
		ids := regexp.MustCompile(`("participantId":)("?[^",}]*"?)`)
		changed := f.sim.Faults().Add(chatsim.Fault{Op: f.delivery, Times: -1, Rewrite: func(body []byte) []byte {
			return ids.ReplaceAll(body, []byte("${1}"+large))
		}})
		time.Sleep(10 * time.Second)
		a.hear(t, "hello")
		time.Sleep(10 * time.Second)
		assert.NotZero(t, changed.Hits())
		tr, err := call(r, webchatservice.GetTranscript, struct{}{})
		require.NoError(t, err)
		last := tr.Messages[len(tr.Messages)-1]
		assert.Equal(t, "hello", last.Text)
		assert.Equal(t, large, fmt.Sprint(last.From.ID))
		assert.Contains(t, string(last.Original), large)
	})
}

// Text that no keyboard makes arrives as it was written, both ways; a surrogate that stands alone, which no text can
// have, is one character that says so.
func TestOddText(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		r, a := f.begin(t)
		odd := []string{"\x00", "a\x00b", "\u202egnp.exe", "\u2066\u2069\u200f", "\x01\x1b[2J\x7f\u0085", "\ufeff\ufffe\uffff", "\U0010ffff", "\ufffd"}
		for _, text := range odd {
			a.hear(t, text)
			a.say(text)
			time.Sleep(2 * time.Second)
		}
		marked := f.sim.Faults().Add(chatsim.Fault{Op: f.delivery, Times: -1, Rewrite: func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("SURROGATE"), []byte(`\ud800`))
		}})
		a.hear(t, "<SURROGATE>")
		time.Sleep(10 * time.Second)
		assert.NotZero(t, marked.Hits())
		marked.Remove()
		broken := f.sim.Faults().Add(chatsim.Fault{Op: f.delivery, Times: 1, Rewrite: func(body []byte) []byte {
			return bytes.ReplaceAll(body, []byte("BYTES"), []byte("\xff\xfe\xc0"))
		}})
		a.hear(t, "<BYTES>")
		time.Sleep(30 * time.Second)
		a.hear(t, "that is all")
		time.Sleep(time.Minute)
		assert.NotZero(t, broken.Hits())
		assert.Equal(t, append(odd, "<\ufffd>", "<BYTES>", "that is all"), r.lines(chat.RoleAgent))
		assert.Equal(t, odd, r.lines(chat.RoleClient))
		a.balance(t)
		assert.Zero(t, a.gaps)
		require.NoError(t, end(r))
	})
}

// Lines around the places where lengths are written in another way arrive whole.
func TestLongLines(t *testing.T) {
	onEachWire(t, func(t *testing.T, f *field) {
		r, a := f.begin(t)
		var want []string
		for _, n := range []int{125, 126, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
			want = append(want, strings.Repeat("x", n))
			a.hear(t, want[len(want)-1])
			time.Sleep(2 * time.Second)
		}
		a.say(strings.Repeat("y", 64<<10+1))
		time.Sleep(time.Minute)
		assert.Equal(t, want, r.lines(chat.RoleAgent))
		a.balance(t)
		assert.Zero(t, a.gaps)
		require.NoError(t, end(r))
	})
}

// heap returns how much memory is in use, and how much was ever allocated.
func heap() (used, allocated int64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.TotalAlloc) //nolint:gosec // not that large
}

// An answer that claims to be long, or becomes long, costs no memory beyond the limit of answers, and no line. It does
// not run beside other tests, which use memory too.
func TestAnswersThatAreBombs(t *testing.T) {
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte{' '}, 32<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Less(t, bomb.Len(), 64<<10)
	const mega, limit = 1 << 20, 8 << 20
	for name, c := range map[string]struct {
		fault chatsim.Fault
		most  int64 // that may be allocated
	}{
		"1 GiB announced":          {chatsim.Fault{Announce: 1 << 30}, mega},
		"32 MiB in 32 KiB of gzip": {chatsim.Fault{Status: 200, Body: bomb.Bytes(), Header: http.Header{"Content-Encoding": {"gzip"}}}, 9 * limit},
	} {
		for _, w := range wireTable {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				onWire(t, w, func(t *testing.T, f *field) {
					r, a := f.begin(t)
					a.converse(t, 3)
					time.Sleep(time.Minute)
					used, allocated := heap()
					a.converse(t, 1)
					time.Sleep(time.Minute)
					_, allocated2 := heap()
					usual := allocated2 - allocated

					c.fault.Op, c.fault.Times = f.send, 1
					bad := f.sim.Faults().Add(c.fault)
					a.converse(t, 1)
					time.Sleep(time.Minute)
					require.Equal(t, 1, bad.Hits())
					usedNow, allocatedNow := heap()
					assert.LessOrEqual(t, allocatedNow-allocated2, usual+c.most)
					assert.LessOrEqual(t, usedNow-used, int64(mega))
					a.balance(t)
					assert.Zero(t, a.gaps)
					require.NoError(t, end(r))
				})
			})
		}
	}
}
