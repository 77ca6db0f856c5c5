package busconfig

import (
	"errors"
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
	node   *node
	source string
}

// Decode fills the struct, or the map with string keys, that into points to.
// What neither the file nor the environment names keeps the value that it had:
// fill in the defaults first. On an error into is unchanged, and the error
// names all problems of the section; it matches the sentinel of each.
//
// Maps and slices of the defaults are replaced, never written to. Where one
// namespace continues another after an underscore (web and web_chat), the file
// must name the longer one for its variables not to be taken for the other's.
// Decode panics if into is not such a pointer, or if a field cannot be an option.
func (s Section) Decode(into any) error {
	rv := reflect.ValueOf(into)
	if rv.Kind() != reflect.Pointer || rv.IsNil() ||
		rv.Elem().Kind() != reflect.Struct && (rv.Elem().Kind() != reflect.Map || !supported(rv.Elem().Type())) {
		panic(fmt.Sprintf("busconfig: Decode wants a pointer to a struct or to a map with string keys, not %T", into))
	}
	d := &decoder{cfg: s.cfg}
	sec, ok := s.cfg.root().get(s.name)
	if !ok || sec.value.kind == null {
		sec = member{name: s.name, value: &node{kind: object}}
	}
	work := reflect.New(rv.Elem().Type()).Elem()
	work.Set(rv.Elem())

	switch {
	case sec.value.kind != object:
		d.fail(CodeType, place{s.name, s.cfg.at(sec.line)}, "is "+sec.value.kind.String(), "want a group of options")
	case work.Kind() == reflect.Map:
		if ok {
			d.value(sec.value, work, tags{}, place{s.name, s.cfg.at(sec.line)})
		}
		s.unknownVariables(d, nil)
	default:
		s.fill(d, sec.value, work)
	}
	if len(d.errs) > 0 {
		return errors.Join(d.errs...)
	}
	rv.Elem().Set(work)
	return nil
}

// fill lays the sources over each other and decodes, for each option, the one
// that wins. viper keeps the layers. It folds the case of keys, so it is given
// settings by the names that the struct declares, and never looks into a
// free-form map.
func (s Section) fill(d *decoder, from *node, work reflect.Value) {
	sc := schemaOf(work.Type())
	leaves := sc.leaves(s.name, s.cfg.prefix)
	for _, l := range leaves {
		d.paths = append(d.paths, l.path)
	}
	layers := viper.New()
	for _, l := range leaves {
		layers.SetDefault(l.path, (*setting)(nil)) // what the struct holds
	}
	if err := layers.MergeConfigMap(map[string]any{s.name: d.file(from, sc, s.name)}); err != nil {
		d.errs = append(d.errs, fmt.Errorf("merge section %s: %w", s.name, err))
		return
	}
	for _, l := range leaves {
		for _, v := range s.cfg.env {
			if v.name == l.env {
				layers.Set(l.path, &setting{fromEnv(v.value(), l.field().typ), v.name})
			}
		}
	}
	s.unknownVariables(d, leaves)

	copied := map[*field]bool{}
	for _, l := range leaves {
		st, _ := layers.Get(l.path).(*setting)
		if st == nil {
			continue
		}
		v := work
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
		d.value(st.node, v, l.field().tags, place{l.path, st.source})
	}
}

// file turns an object of the file into viper's nested maps, with a setting
// for each option, and reports what the schema does not know.
func (d *decoder) file(from *node, sc *schema, path string) map[string]any {
	out := map[string]any{}
	d.known(from, sc, path, func(f *field, m member) {
		at := place{join(path, f.name), d.cfg.at(m.line)}
		switch {
		case m.value.kind == null && (f.sub != nil || isGroup(f.typ)):
			// A heading with all its lines commented out.
		case f.sub == nil:
			out[f.name] = &setting{m.value, at.source}
		case m.value.kind != object:
			d.fail(CodeType, at, "is "+m.value.kind.String(), "want a group of options")
		default:
			out[f.name] = d.file(m.value, f.sub, at.path)
		}
	})
	return out
}

// known calls f for each member that sc knows, and reports the others.
func (d *decoder) known(from *node, sc *schema, path string, f func(*field, member)) {
	for _, m := range from.members {
		if known := sc.find(m.name); known != nil {
			f(known, m)
			continue
		}
		if e := d.cfg.otherSpelling(m, from, path, sc.names()); e != nil {
			d.errs = append(d.errs, e)
			continue
		}
		d.fail(CodeUnknown, place{join(path, m.name), d.cfg.at(m.line)}, "unknown option",
			suggest(path, m.name, sc.names(), d.paths))
	}
}

func isGroup(t reflect.Type) bool {
	k := deref(t).Kind()
	return !decodesItself(t) && (k == reflect.Map || k == reflect.Slice || k == reflect.Struct)
}

// unknownVariables reports the variables of the namespace that name no option.
func (s Section) unknownVariables(d *decoder, leaves []leaf) {
	var known []string
	for _, l := range leaves {
		known = append(known, l.env)
	}
	for _, v := range s.cfg.env {
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
		d.fail(CodeUnknown, place{"", v.name}, "no option has this variable", hint)
	}
}

func trimAll(names []string, prefix string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.TrimPrefix(n, prefix)
	}
	return out
}
