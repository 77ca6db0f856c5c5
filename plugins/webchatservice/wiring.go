package webchatservice

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// wiring is what a configuration says of the wire.
type wiring struct {
	factory *chat.Factory // nil: none at hand
	config  any           // the factory's struct, filled in
	unused  []string      // options that are set and have no effect, with their full paths
}

// selection returns what c says about the wire that it wants.
func (c *Config) selection() chat.Selection {
	return chat.Selection{Transport: c.Transport.Type, CometD: c.CometD.Enabled && c.Transport.Type == ""}
}

// wiring reads the options of the wire, with those of the factory that c selects, and adds to p what is wrong with
// them. The error, which matches ErrInvalidTransport, says that there is no such factory.
func (c *Config) wiring(factories []chat.Factory, p *problems) (wiring, error) {
	var w wiring
	var own []chat.Option
	var into reflect.Value
	if i := slices.IndexFunc(factories, func(f chat.Factory) bool { return f.Selects(c.selection()) }); i >= 0 {
		w.factory = &factories[i]
		w.config = w.factory.Config()
		into = reflect.ValueOf(w.config).Elem()
		own = chat.OptionsOf(into.Type())
	}
	known := knownOptions(factories)
	t, err := parseTree(c.Wire.plain())
	if err != nil {
		p.list = append(p.list, fmt.Errorf("webchat: %w", err)) // never: it was made from plain data
		return w, nil
	}
	groups, wrong := groupsOf(known), len(p.list)
	for _, e := range t.rawOptions(groups) {
		switch i := slices.IndexFunc(own, func(o chat.Option) bool { return o.Path == e.path }); {
		case i >= 0:
			if err := decodeOption(own[i], e.raw, into.FieldByIndex(own[i].Field.Index)); err != nil {
				p.add(e.path, err)
			}
		case groups[e.path]:
			if is := kindOf(e.raw); is != "empty" { // a heading with nothing below it
				p.add(e.path, fmt.Errorf("is %s, want a group of options", is))
			}
		case isServiceOption(e.path):
			p.add(e.path, errors.New("is an option of the service; set the field of Config, not Wire"))
		case slices.Contains(known, e.path):
			w.unused = append(w.unused, Section+"."+e.path)
		default:
			p.add(e.path, unknownOption(e.path, known))
		}
	}
	slices.SortStableFunc(w.unused, func(a, b string) int {
		return cmp.Compare(slices.Index(known, a[len(Section)+1:]), slices.Index(known, b[len(Section)+1:]))
	})
	if v, ok := w.config.(interface{ Validate() error }); ok && len(p.list) == wrong {
		if err := v.Validate(); err != nil {
			p.list = append(p.list, err)
		}
	}
	return w, c.checkSelection(factories, w.factory)
}

// unknownOption says what may have been meant by a name that no option has.
func unknownOption(path string, known []string) error {
	group, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		group, name = path[:i], path[i+1:]
	}
	var siblings, elsewhere []string
	for _, k := range known {
		i := strings.LastIndexByte(k, '.')
		if k[:max(i, 0)] == group {
			siblings = append(siblings, k[i+1:])
		} else if strings.EqualFold(k[i+1:], name) {
			elsewhere = append(elsewhere, k)
		}
	}
	for _, k := range known { // a group that was meant stands beside the options
		if rest, ok := strings.CutPrefix(k, group); ok {
			if first, _, nested := strings.Cut(strings.TrimPrefix(rest, "."), "."); nested && !slices.Contains(siblings, first) {
				siblings = append(siblings, first)
			}
		}
	}
	n, near := bus.Nearest(name, siblings)
	switch {
	case near && (len(elsewhere) == 0 || strings.EqualFold(n, name)):
		return fmt.Errorf("unknown option; did you mean %s.%s?", Section, join(group, n))
	case len(elsewhere) > 0: // the right name in the wrong place
		return fmt.Errorf("unknown option; did you mean %s.%s?", Section, elsewhere[0])
	}
	return errors.New("unknown option")
}

// checkSelection says, by an error that matches ErrInvalidTransport, that c selects a wire for which there is no
// factory. Without factories it looks only for names that no transport has.
func (c *Config) checkSelection(factories []chat.Factory, found *chat.Factory) error {
	if found != nil {
		return nil
	}
	types := vendorTransports()
	for _, f := range factories {
		for _, s := range f.Selections() {
			if s.Transport != "" && !slices.Contains(types, s.Transport) {
				types = append(types, s.Transport)
			}
		}
	}
	if t := c.Transport.Type; t != "" && !slices.Contains(types, t) {
		return failure(ErrInvalidTransport, "", fmt.Errorf("webchat.transport.type: %q is unknown, want one of %s", t, strings.Join(types, ", ")), "")
	}
	if len(factories) == 0 {
		return nil
	}
	asked := "transport.type " + c.Transport.Type
	switch {
	case c.selection().CometD:
		asked = "cometD.enabled"
	case c.Transport.Type == "":
		asked = "the default transport"
	}
	return failure(ErrInvalidTransport, "", nil, "no driver at hand speaks "+asked)
}

// knownOptions returns the paths of all options: the service's, the vendor's, those of the factories.
func knownOptions(factories []chat.Factory) []string {
	var all []string
	for _, o := range serviceOptions() {
		all = append(all, o.Path)
	}
	all = append(all, vendorOptions()...)
	for _, f := range factories {
		for _, o := range chat.OptionsOf(reflect.TypeOf(f.Config()).Elem()) {
			if !slices.Contains(all, o.Path) {
				all = append(all, o.Path)
			}
		}
	}
	return all
}

func isServiceOption(path string) bool {
	return slices.ContainsFunc(serviceOptions(), func(o chat.Option) bool { return o.Path == path })
}

// groupsOf returns the paths of the groups in which options stand.
func groupsOf(options []string) map[string]bool {
	groups := map[string]bool{}
	for _, path := range options {
		for i := strings.LastIndexByte(path, '.'); i >= 0; i = strings.LastIndexByte(path, '.') {
			path = path[:i]
			groups[path] = true
		}
	}
	return groups
}

// UnmarshalJSON implements [json.Unmarshaler]. Options that b does not name stay as they are. Those of the service must
// be of the right type; everything else goes to Wire, to be judged by [Config.Validate].
func (c *Config) UnmarshalJSON(b []byte) error {
	t, err := parseTree(b)
	if err != nil {
		return err
	}
	fresh := *c
	v := reflect.ValueOf(&fresh).Elem()
	var p problems
	for _, o := range serviceOptions() {
		raw, ok := t.take(o.Path)
		if !ok || kindOf(raw) == "empty" {
			continue
		}
		value := reflect.New(o.Field.Type).Elem()
		if err := decodeValue(o.Field.Tag, o, raw, value); err != nil {
			p.add(o.Path, err)
			continue
		}
		v.FieldByIndex(o.Field.Index).Set(value)
	}
	if len(p.list) > 0 {
		return errors.Join(p.list...)
	}
	if len(t) > 0 {
		more := make(map[string]any, len(t))
		for name, raw := range t {
			if more[name], err = withDigits(raw); err != nil {
				return err
			}
		}
		groups := groupsOf(knownOptions(nil))
		if fresh.files != nil {
			groups = fresh.files.groups
		}
		fresh.Wire = NewWire(overlaid(fresh.Wire.Reveal(), more, "", groups))
	}
	*c = fresh
	return nil
}

// withDigits reads any JSON, numbers as [json.Number].
func withDigits(raw []byte) (v any, err error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// MarshalJSON implements [json.Marshaler]. Options that have their zero value are left out, secrets are hidden, and of
// Wire there is what [Wire.MarshalJSON] shows.
func (c Config) MarshalJSON() ([]byte, error) {
	type fields Config // without the methods
	raw, err := marshal(fields(c))
	if err != nil {
		return nil, err
	}
	var own map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&own); err != nil {
		return nil, err
	}
	if raw, err = c.Wire.MarshalJSON(); err != nil {
		return nil, err
	}
	shown, err := withDigits(raw)
	if err != nil {
		return nil, err
	}
	wire, _ := shown.(map[string]any)
	return marshal(overlaid(own, wire, "", groupsOf(knownOptions(nil))))
}
