package webchatservice

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cxbus/cxbus/bus"
)

// The commands on filters, which hide messages (webchatservice 3). RemovePrefilter is this service's own.
var (
	SendFilteredMessage = bus.NewCommand[SendFilteredMessageIn, SendMessageOut](Namespace+".sendFilteredMessage",
		"Sends a message that a filter hides from the transcript; resolves as sendMessage does.")
	AddPrefilter = bus.NewCommand[AddPrefilterIn, Prefilters](Namespace+".addPrefilter",
		"Hides messages that match, until the session ends or the filter is removed; resolves with all filters by their number.")
	RemovePrefilter = bus.NewCommand[RemoveIn, struct{}](Namespace+".removePrefilter",
		"Takes a filter away. It is this service's own command.")
)

// SendFilteredMessageIn are the options of sendFilteredMessage.
type SendFilteredMessageIn struct {
	Message string `json:"message"` // the text; as in sendMessage
	Regex   Filter `json:"regex"`   // what hides it, and what else matches, until the session ends
}

// AddPrefilterIn are the options of addPrefilter.
type AddPrefilterIn struct {
	Filters Filters `json:"filters"` // what to hide
}

// Prefilters is what addPrefilter resolves with: all filters that were added, by their number, which
// removePrefilter takes.
type Prefilters map[string]Filter

// RemoveIn says what to take away.
type RemoveIn struct {
	ID string `json:"id"` // as the command gave it that added the thing
}

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

// Filters is one or more filters; in JSON one, or a list.
type Filters []Filter

// UnmarshalJSON takes a filter or a list of them. What is no filter is kept as one without an expression, which
// the commands reject with the vendor's text.
func (f *Filters) UnmarshalJSON(b []byte) error {
	var list []Filter
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		*f = list
		return nil
	}
	var one Filter
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*f = Filters{one}
	return nil
}

// check returns nil, or an error that says which of the filters is none, and why.
func (f Filters) check() error {
	if len(f) == 0 {
		return errors.New("there is none")
	}
	for i := range f {
		if f[i].Regexp == nil {
			return fmt.Errorf("filter %d: %s", i+1, cmp.Or(f[i].wrong, "there is no expression"))
		}
	}
	return nil
}

func (s *Service) sendFilteredMessage(ctx context.Context, in SendFilteredMessageIn, d *bus.Deferred[SendMessageOut]) {
	if _, err := s.live("sendFilteredMessage"); err != nil {
		e := failure(ErrNoSession, "sendFilteredMessage", nil, "")
		e.Text = "No active chat session."
		d.Reject(e)
		return
	}
	if err := (Filters{in.Regex}).check(); err != nil {
		d.Reject(failure(ErrFilters, "sendFilteredMessage", err, ""))
		return
	}
	s.deps.hooks.addFilters([]Filter{in.Regex})
	s.sendMessage(ctx, SendMessageIn{Message: in.Message}, d)
}

func (s *Service) addPrefilter(_ context.Context, in AddPrefilterIn) (Prefilters, error) {
	if err := in.Filters.check(); err != nil {
		return nil, failure(ErrFilters, "addPrefilter", err, "")
	}
	return s.deps.hooks.addFilters(in.Filters), nil
}

func (s *Service) removePrefilter(_ context.Context, in RemoveIn) (none struct{}, err error) {
	if !s.deps.hooks.removeFilter(in.ID) {
		return none, failure(ErrUnknownID, "removePrefilter", nil, "addPrefilter gives the numbers; the end of a session takes all filters away")
	}
	return none, nil
}

// coBrowse is the built-in filter: the token that starts co-browsing (webchatservice 5.3).
var coBrowse = regexp.MustCompile(`\{start:[0-9]{9}\}`)

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
