package busconfig

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"github.com/cxbus/cxbus/bus"
)

// Section is what a [Config] holds for one namespace. It is a small value and
// as immutable as its Config.
type Section struct {
	cfg  *Config
	name string
}

// setting is one value with the place it came from.
type setting struct {
	node *node
	at   place
}

// Open is implemented, by a pointer that is given to [Section.Decode], for a
// struct whose options are known only at run time.
type Open interface {
	// Options returns a struct whose fields are the options.
	Options() any
	// UnmarshalJSON takes what the file and the environment name, as one object
	// that was checked against Options, with the digits of its numbers. What it
	// does not hold keeps its value.
	UnmarshalJSON(b []byte) error
}

// Decode fills the struct, or the map with string keys, that each of into
// points to. What neither the file nor the environment names keeps the value
// that it had: fill in the defaults first. On an error nothing is changed, and
// the error names all problems of the section in the order of the file, one
// line each; it matches the sentinel of each.
//
// With several structs the section is shared: each takes the options that it
// declares, one that several declare goes to all of them, and an option is
// unknown only if none declares it.
//
// Maps and slices of the defaults are replaced, never written to. Where one
// namespace continues another after an underscore (web and web_chat), the file
// must name the longer one for its variables not to be taken for the other's.
// Decode panics if into is not such a pointer, or if a field cannot be an option.
func (s Section) Decode(into ...any) error {
	targets, problems := s.decode(into)
	if len(problems) > 0 {
		return joined(problems)
	}
	commit(targets)
	return nil
}

// target is one struct or map that takes a section.
type target struct {
	d      *decoder
	into   reflect.Value
	work   reflect.Value // what into becomes if there is no problem
	leaves []leaf        // nil for a map, which takes every name
	open   Open          // a copy of into, if that is one; work is then only looked at
	named  *node         // what the file and the environment name, as an object
}

// close fills an Open.
func (t *target) close() error {
	if t.open == nil {
		return nil
	}
	t.work = reflect.ValueOf(t.open).Elem()
	return t.open.UnmarshalJSON(t.named.json())
}

func commit(targets []*target) {
	for _, t := range targets {
		t.into.Set(t.work)
	}
}

func (s Section) decode(into []any) (targets []*target, problems []*Error) {
	if len(into) == 0 {
		panic("busconfig: Decode wants a pointer to what takes the section")
	}
	sec, ok := s.cfg.root().get(s.name)
	if !ok || sec.value.kind == null {
		sec = member{name: s.name, value: &node{kind: object}}
	}
	at := s.cfg.placeOf(s.name, sec)
	for _, i := range into {
		rv := reflect.ValueOf(i)
		if rv.Kind() != reflect.Pointer || rv.IsNil() ||
			rv.Elem().Kind() != reflect.Struct && (rv.Elem().Kind() != reflect.Map || !supported(rv.Elem().Type())) {
			panic(fmt.Sprintf("busconfig: Decode wants a pointer to a struct or to a map with string keys, not %T", i))
		}
		t := &target{
			d: &decoder{cfg: s.cfg}, into: rv.Elem(), work: reflect.New(rv.Elem().Type()).Elem(), named: &node{kind: object},
		}
		t.work.Set(t.into)
		if open, ok := t.work.Addr().Interface().(Open); ok {
			t.open, t.work = open, reflect.New(reflect.TypeOf(open.Options())).Elem()
		}
		targets = append(targets, t)
		switch {
		case sec.value.kind != object:
			t.d.fail(CodeType, at, "is "+sec.value.kind.String(), "want a group of options"+noBlank(sec.value))
		case t.work.Kind() == reflect.Map:
			if ok {
				t.d.value(sec.value, t.work, tags{}, at)
			}
		default:
			s.fill(t, sec.value)
		}
	}
	problems = s.unknownVariables(targets)
	for _, t := range targets {
		problems = append(problems, t.d.errs...)
		for _, u := range t.d.unknown {
			if !slices.ContainsFunc(targets, func(o *target) bool { return o != t && o.takes(u) }) {
				problems = append(problems, s.cfg.unknownOption(u, targets))
			}
		}
	}
	if len(problems) > 0 {
		return targets, problems
	}
	for _, t := range targets {
		if err := t.close(); err != nil {
			problems = append(problems, &Error{
				Code: CodeType, Path: s.name, Source: at.source, Text: "is not accepted", Hint: err.Error(), Err: err, order: at.order,
			})
		}
	}
	return targets, problems
}

// fill lays the sources over each other and decodes, for each option, the one
// that wins. viper keeps the layers. It folds the case of keys, so it is given
// settings by the names that the struct declares, and never looks into a
// free-form map.
func (s Section) fill(t *target, from *node) {
	sc := schemaOf(t.work.Type())
	t.leaves = sc.leaves(s.name, s.cfg.prefix)
	layers := viper.New()
	for _, l := range t.leaves {
		layers.SetDefault(l.path, (*setting)(nil)) // what the struct holds
	}
	// It merges maps that hold nothing but settings, which cannot fail.
	_ = layers.MergeConfigMap(map[string]any{s.name: t.d.file(from, sc, s.name)})
	for _, l := range t.leaves {
		for i, v := range s.cfg.env {
			if v.name == l.env && !l.field().tags.noVariable {
				layers.Set(l.path, &setting{fromEnv(v.value(), l.field().typ), place{l.path, v.name, order{variables, i}}})
			}
		}
	}

	copied := map[*field]bool{}
	for _, l := range t.leaves {
		st, _ := layers.Get(l.path).(*setting)
		if st == nil {
			continue
		}
		v := t.work
		for _, step := range l.way {
			v = v.FieldByIndex(step.index)
			if step.sub != nil && v.Kind() == reflect.Pointer {
				if !copied[step] { // the caller's own may be shared
					copied[step] = true
					fresh := reflect.New(v.Type().Elem())
					if !v.IsNil() {
						fresh.Elem().Set(v.Elem())
					}
					v.Set(fresh)
				}
				v = v.Elem()
			}
		}
		t.d.value(st.node, v, l.field().tags, st.at)
		t.named.put(l.way, st.node)
	}
}

// put adds the value of an option to an object of options and groups.
func (n *node) put(way []*field, value *node) {
	for _, step := range way[:len(way)-1] {
		group, ok := n.get(step.name)
		if !ok {
			group = member{name: step.name, value: &node{kind: object}}
			n.members = append(n.members, group)
		}
		n = group.value
	}
	n.members = append(n.members, member{name: way[len(way)-1].name, value: value})
}

// file turns an object of the file into viper's nested maps, with a setting
// for each option, and notes what the schema does not know.
func (d *decoder) file(from *node, sc *schema, path string) map[string]any {
	out := map[string]any{}
	d.known(from, sc, place{path: path}, func(f *field, m member) {
		at := d.cfg.placeOf(join(path, f.name), m)
		switch {
		case m.value.kind == null && (f.sub != nil || isGroup(f.typ)):
			// A heading with all its lines commented out.
		case f.sub == nil:
			out[f.name] = &setting{m.value, at}
		case m.value.kind != object:
			d.fail(CodeType, at, "is "+m.value.kind.String(), "want a group of options"+noBlank(m.value))
		default:
			out[f.name] = d.file(m.value, f.sub, at.path)
		}
	})
	return out
}

// known calls f for each member of the object at a place that sc knows, and
// notes the others.
func (d *decoder) known(from *node, sc *schema, at place, f func(*field, member)) {
	for _, m := range from.members {
		if known := sc.find(m.name); known != nil {
			f(known, m)
			continue
		}
		u := unknown{member: m, in: from, at: place{join(at.path, m.name), at.source, at.order}, group: at.path, siblings: sc.names()}
		if m.line > 0 { // in the file, not in a variable
			u.at = d.cfg.placeOf(u.at.path, m)
		}
		d.unknown = append(d.unknown, u)
	}
}

func isGroup(t reflect.Type) bool {
	k := deref(t).Kind()
	return !decodesItself(t) && (k == reflect.Map || k == reflect.Slice || k == reflect.Struct)
}

// unknownVariables reports the variables of the namespace that name no option
// of any target.
func (s Section) unknownVariables(targets []*target) (problems []*Error) {
	var leaves []leaf
	for _, t := range targets {
		leaves = append(leaves, t.leaves...)
	}
	leaves = slices.DeleteFunc(leaves, func(l leaf) bool { return l.field().tags.noVariable })
	var known []string
	for _, l := range leaves {
		known = append(known, l.env)
	}
	for i, v := range s.cfg.env {
		if !s.cfg.belongs(v.name, s.name) || slices.Contains(known, v.name) {
			continue
		}
		// CXBUS_WEB_CHAT_X may be chat_X of web, or X of web_chat.
		if slices.ContainsFunc(s.cfg.Namespaces(), func(ns string) bool {
			return len(ns) > len(s.name) && s.cfg.belongs(v.name, ns)
		}) {
			continue
		}
		hint := ""
		group := slices.IndexFunc(leaves, func(l leaf) bool {
			return strings.HasPrefix(v.name, l.env+"_") && isGroup(l.field().typ)
		})
		section := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(k, v.name+"_") })
		switch n, ok := bus.Nearest(strings.TrimPrefix(v.name, s.cfg.prefix), trimAll(known, s.cfg.prefix)); {
		case group >= 0:
			hint = known[group] + " takes the whole of " + leaves[group].path + " as JSON"
		case section >= 0:
			hint = "set the options of that group one by one, as " + known[section]
		case ok:
			hint = "did you mean " + s.cfg.prefix + n + "?"
		}
		problems = append(problems, &Error{
			Code: CodeUnknown, Source: v.name, Text: "no option has this variable", Hint: hint, order: order{variables, i},
		})
	}
	return problems
}

func trimAll(names []string, prefix string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.TrimPrefix(n, prefix)
	}
	return out
}
