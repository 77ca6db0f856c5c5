package webchatservice

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Filter is a regular expression that hides messages, in the syntax of package regexp. As JSON it is
// {"source", "flags"}, as the browser keeps its own; of the flags g, i, m, s, u and y only i, m and s make a
// difference here. One that cannot be read has no Regexp.
type Filter struct {
	*regexp.Regexp

	wrong string // why JSON was no filter
}

// filterJSON is a Filter in JSON.
type filterJSON struct {
	Source string `json:"source"`
	Flags  string `json:"flags,omitempty"`
}

// MarshalJSON writes {"source", "flags"}, or null.
func (f Filter) MarshalJSON() ([]byte, error) {
	if f.Regexp == nil {
		return []byte("null"), nil
	}
	j := filterJSON{Source: f.String()}
	if rest, ok := strings.CutPrefix(j.Source, "(?"); ok {
		if flags, source, ok := strings.Cut(rest, ")"); ok && flags != "" && strings.Trim(flags, "ims") == "" {
			j = filterJSON{source, flags}
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON takes {"source", "flags"}. Anything else leaves the filter without an expression; the commands that
// take filters say what is wrong.
func (f *Filter) UnmarshalJSON(b []byte) error {
	*f = Filter{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var j filterJSON
	if err := dec.Decode(&j); err != nil || j.Source == "" {
		f.wrong = "want {source, flags}"
		return nil
	}
	flags := ""
	for _, c := range j.Flags {
		switch {
		case strings.ContainsRune("ims", c) && !strings.ContainsRune(flags, c):
			flags += string(c)
		case !strings.ContainsRune("gimsuy", c):
			f.wrong = "flags may be g, i, m, s, u and y"
			return nil
		}
	}
	source := j.Source
	if flags != "" {
		source = "(?" + flags + ")" + source
	}
	re, err := regexp.Compile(source)
	if err != nil {
		f.wrong = err.Error()
		return nil
	}
	f.Regexp = re
	return nil
}

// PreProcessor changes a line before it is published. It gets the normalised line and returns what
// takes its place; nil keeps it. Index, ID and Original stay what they are. It runs in the goroutine
// that receives, without any lock, and must not change what the line points to.
type PreProcessor func(m Message) *Message

// coBrowse is the built-in filter: the token that starts co-browsing (webchatservice 5.3).
var coBrowse = regexp.MustCompile(`\{start:[0-9]{9}\}`)

// hooks are what plugins gave the service to hide and to change lines with. Numbers name them; no
// number comes twice.
type hooks struct {
	masks atomic.Pointer[[]*regexp.Regexp] // nil: none

	mu         sync.Mutex // guards what follows; the maps and the slice are never written to again
	next       int
	filters    map[string]Filter
	processors []processor
	preview    func() string
}

type processor struct {
	id string
	f  PreProcessor
}

func (h *hooks) idLocked() string {
	id := strconv.Itoa(h.next)
	h.next++
	return id
}

// addFilters adds those that are not there yet, and returns all.
func (h *hooks) addFilters(add []Filter) map[string]Filter {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := maps.Clone(h.filters)
	if all == nil {
		all = make(map[string]Filter)
	}
	for _, f := range add {
		known := false
		for _, g := range all {
			known = known || g.String() == f.String()
		}
		if !known {
			all[h.idLocked()] = f
		}
	}
	h.filters = all
	return all
}

// removeFilter takes one away, and reports whether it was there.
func (h *hooks) removeFilter(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.filters[id]; !ok {
		return false
	}
	h.filters = maps.Clone(h.filters)
	delete(h.filters, id)
	return true
}

// clearFilters takes all away: they count for one session.
func (h *hooks) clearFilters() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.filters = nil
}

func (h *hooks) addProcessor(f PreProcessor) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.idLocked()
	h.processors = append(slices.Clone(h.processors), processor{id, f})
	return id
}

func (h *hooks) removeProcessor(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.processors)
	h.processors = slices.DeleteFunc(slices.Clone(h.processors), func(p processor) bool { return p.id == id })
	return len(h.processors) < n
}

// setPreview sets the input that the preview is read from; nil for none.
func (h *hooks) setPreview(f func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.preview = f
}

// typed returns the text of the registered input.
func (h *hooks) typed() string {
	h.mu.Lock()
	f := h.preview
	h.mu.Unlock()
	if f == nil {
		return ""
	}
	return f()
}

// setMasks sets what is hidden from now on.
func (h *hooks) setMasks(masks []*regexp.Regexp) {
	if len(masks) == 0 {
		h.masks.Store(nil)
		return
	}
	h.masks.Store(&masks)
}

// mask hides in a text what must not be seen.
func (h *hooks) mask(text string) string {
	if masks := h.masks.Load(); masks != nil {
		for _, re := range *masks {
			text = re.ReplaceAllLiteralString(text, "***")
		}
	}
	return text
}

// maskJSON hides it in all texts of a JSON value. What it does not touch comes back as it was.
func (h *hooks) maskJSON(raw json.RawMessage) json.RawMessage {
	if h.masks.Load() == nil || len(raw) == 0 {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	if v, changed := h.maskValue(v); changed {
		out, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return out
	}
	return raw
}

// maskMap hides it in all texts of a map, which it leaves as it is.
func (h *hooks) maskMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return m
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	masked := h.maskJSON(raw)
	if bytes.Equal(masked, raw) {
		return m
	}
	var out map[string]any
	if json.Unmarshal(masked, &out) != nil {
		return nil
	}
	return out
}

func (h *hooks) maskValue(v any) (masked any, changed bool) {
	switch v := v.(type) {
	case string:
		m := h.mask(v)
		return m, m != v
	case []any:
		for i := range v {
			m, c := h.maskValue(v[i])
			v[i], changed = m, changed || c
		}
	case map[string]any:
		for k := range v {
			m, c := h.maskValue(v[k])
			v[k], changed = m, changed || c
		}
	}
	return v, changed
}

// lines are those of an event on their way to the subscribers.
type lines struct {
	wire     []chat.Message
	messages []Message        // what is made of each
	hidden   map[int]struct{} // those that a filter hides; they count for participants only
}

// prepare normalises the lines of an event, hides and changes them. It holds no lock, since
// pre-processors are other people's code.
func (s *session) prepare(wire []chat.Message, restoring bool) (l lines) {
	if len(wire) == 0 {
		return l
	}
	h := s.env.hooks
	h.mu.Lock()
	filters, processors := h.filters, h.processors
	h.mu.Unlock()

	l = lines{wire: wire, messages: make([]Message, len(wire))}
	for i := range wire {
		w, m := &wire[i], &l.messages[i]
		normalise(m, w, restoring)
		if h.masks.Load() != nil {
			m.Text = h.mask(m.Text)
			m.Original = h.maskJSON(m.Original)
			m.UserData, m.FileDetails = h.maskMap(m.UserData), h.maskMap(m.FileDetails)
		}
		if w.Kind == chat.KindMessage && hides(filters, w.Text) {
			if l.hidden == nil {
				l.hidden = make(map[int]struct{})
			}
			l.hidden[i] = struct{}{}
			continue
		}
		for _, p := range processors {
			s.process(p.f, m)
		}
	}
	return l
}

// hides reports whether a line with that text is not for the visitor.
func hides(filters map[string]Filter, text string) bool {
	if coBrowse.MatchString(text) {
		return true
	}
	for _, f := range filters {
		if f.MatchString(text) {
			return true
		}
	}
	return false
}

// process lets one pre-processor change a line. One that panics changes nothing.
func (s *session) process(f PreProcessor, m *Message) {
	defer func() {
		if p := recover(); p != nil {
			s.env.log.Error("pre-processor panicked", "panic", p)
		}
	}()
	if out := f(*m); out != nil {
		changed := *out
		changed.Index, changed.ID, changed.Original, changed.Restoring = m.Index, m.ID, m.Original, m.Restoring
		*m = changed
	}
}
