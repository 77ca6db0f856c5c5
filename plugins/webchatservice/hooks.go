package webchatservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
)

// The commands by which Go code takes part in what the service does. The two that remove are this service's own.
var (
	RegisterPreProcessor = bus.NewCommand[RegisterPreProcessorIn, RegisterPreProcessorOut](Namespace+".registerPreProcessor",
		"Lets a function change lines before they are published; only Go can call it.")
	RemovePreProcessor = bus.NewCommand[RemoveIn, struct{}](Namespace+".removePreProcessor",
		"Takes a pre-processor away. It is this service's own command.")
	RegisterTypingPreviewInput = bus.NewCommand[RegisterTypingPreviewInputIn, struct{}](Namespace+".registerTypingPreviewInput",
		"Lets a function tell what the visitor has typed and not sent; only Go can call it.")
	RemoveTypingPreviewInput = bus.NewCommand[struct{}, struct{}](Namespace+".removeTypingPreviewInput",
		"Forgets that function. It is this service's own command.")
)

// PreProcessor changes a line before it is published. It gets the normalised line and returns what
// takes its place; nil keeps it. Index, ID and Original stay what they are. The lines behind wait for it.
// It runs without any lock, and must not change what the line points to. One that panics or ends its
// goroutine changes nothing, and is logged.
type PreProcessor func(m Message) *Message

// RegisterPreProcessorIn are the options of registerPreProcessor.
type RegisterPreProcessorIn struct {
	PreProcessor PreProcessor `json:"-"` // called for each line that no filter hides; those registered before run first

	given string // what JSON had in its place, as typeof names it; "" for a caller in Go
}

// UnmarshalJSON notes what was given in the place of a function; the command says so.
func (in *RegisterPreProcessorIn) UnmarshalJSON(b []byte) (err error) {
	*in = RegisterPreProcessorIn{}
	in.given, err = givenFor("preprocessor", b)
	return err
}

// RegisterPreProcessorOut is what registerPreProcessor resolves with.
type RegisterPreProcessorOut struct {
	// ID is what removePreProcessor takes.
	ID           string       `json:"id"`
	PreProcessor PreProcessor `json:"-"` // the one that was given
}

// RegisterTypingPreviewInputIn are the options of registerTypingPreviewInput.
type RegisterTypingPreviewInputIn struct {
	// Input returns what the visitor has typed so far. It is called at every poll and must not block.
	Input func() string `json:"-"`

	given string // as in RegisterPreProcessorIn
}

// UnmarshalJSON notes what was given in the place of a function; the command says so.
func (in *RegisterTypingPreviewInputIn) UnmarshalJSON(b []byte) (err error) {
	*in = RegisterTypingPreviewInputIn{}
	in.given, err = givenFor("input", b)
	return err
}

// givenFor reads options that can hold one thing alone, and that not in JSON. It returns what typeof calls
// the thing in the browser.
func givenFor(option string, b []byte) (string, error) {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return "", errors.New("want an object")
	}
	v, ok := all[option]
	delete(all, option)
	for name := range all {
		return "", fmt.Errorf("unknown option %q", name)
	}
	switch v.(type) {
	case string:
		return "string", nil
	case bool:
		return "boolean", nil
	case float64:
		return "number", nil
	}
	if !ok {
		return "undefined", nil
	}
	return "object", nil
}

func (s *Service) registerPreProcessor(_ context.Context, in RegisterPreProcessorIn) (RegisterPreProcessorOut, error) {
	switch {
	case in.given != "":
		e := failure(ErrGoOnly, "registerPreProcessor", nil, ErrGoOnly.Text)
		e.Text = fmt.Sprintf("No preprocessor function provided. Type provided was '%s'.", in.given)
		return RegisterPreProcessorOut{}, e
	case in.PreProcessor == nil:
		return RegisterPreProcessorOut{}, failure(ErrNoPreProcessor, "registerPreProcessor", nil, "set PreProcessor")
	}
	return RegisterPreProcessorOut{s.deps.hooks.addProcessor(in.PreProcessor), in.PreProcessor}, nil
}

func (s *Service) removePreProcessor(_ context.Context, in RemoveIn) (none struct{}, err error) {
	if !s.deps.hooks.removeProcessor(in.ID) {
		return none, failure(ErrUnknownID, "removePreProcessor", nil, "registerPreProcessor gives the id")
	}
	return none, nil
}

func (s *Service) registerTypingPreviewInput(_ context.Context, in RegisterTypingPreviewInputIn) (none struct{}, err error) {
	switch {
	case in.given != "":
		e := failure(ErrGoOnly, "registerTypingPreviewInput", nil, ErrGoOnly.Text)
		e.Text = ErrNoInput.Text
		return none, e
	case in.Input == nil:
		return none, failure(ErrNoInput, "registerTypingPreviewInput", nil, "set Input")
	}
	s.deps.hooks.setPreview(in.Input)
	return none, nil
}

func (s *Service) removeTypingPreviewInput(context.Context, struct{}) (none struct{}, err error) {
	s.deps.hooks.setPreview(nil)
	return none, nil
}

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

// typed returns the text of the registered input; "" if that did not return.
func (h *hooks) typed() (text string, odd *misbehaviour) {
	h.mu.Lock()
	f := h.preview
	h.mu.Unlock()
	if f == nil {
		return "", nil
	}
	odd = contained(func() { text = f() })
	return text, odd
}
