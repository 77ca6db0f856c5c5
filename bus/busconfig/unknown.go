package busconfig

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/bus"
)

// unknown is a member that a target does not declare.
type unknown struct {
	member
	in       *node // the object that holds it
	at       place
	group    string   // path of the object
	siblings []string // what the target declares there
}

// takes reports whether the target declares the option u, which another does
// not.
func (t *target) takes(u unknown) bool {
	if u.at.order.line == variables && !slices.ContainsFunc(t.leaves, func(l leaf) bool { return l.env == u.at.source }) {
		return false
	}
	return !slices.ContainsFunc(t.d.unknown, func(o unknown) bool {
		rest, ok := strings.CutPrefix(u.at.path, o.at.path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// unknownOption is the error for a member that no target declares.
func (c *Config) unknownOption(u unknown, targets []*target) *Error {
	var siblings, all []string
	for _, t := range targets {
		for _, o := range t.d.unknown {
			if o.at.path == u.at.path {
				siblings = append(siblings, o.siblings...)
			}
		}
		for _, l := range t.leaves {
			all = append(all, l.path)
		}
	}
	if e := c.otherSpelling(u.member, u.in, u.group, siblings); e != nil {
		return e
	}
	if e := u.noName(u.group, u.at); e != nil {
		return e
	}
	return &Error{
		Code: CodeUnknown, Path: u.at.path, Source: u.at.source, Text: "unknown option",
		Hint: suggest(u.group, u.name, siblings, all), order: u.at.order,
	}
}

// noName returns an error when an unknown name is none, but a mistake that
// YAML takes for one. Such a name may hold a value, so it is not shown.
func (m member) noName(group string, at place) *Error {
	e := &Error{Code: CodeUnknown, Path: group, Source: at.source, order: at.order}
	if strings.HasPrefix(m.name, "//") || strings.HasPrefix(m.name, "/*") {
		e.Text = sayComment
		return e
	}
	if key := noBlankKey.FindStringSubmatch(m.name); key != nil && m.value.kind == null {
		e.Path, e.Text = join(group, key[1]), sayNoBlank
		return e
	}
	return nil
}

// suggest is the hint for an unknown option called name in the group at path:
// the nearest of the options there, else one of the same name elsewhere.
func suggest(path, name string, siblings, all []string) string {
	if n, ok := bus.Nearest(name, siblings); ok {
		return "did you mean " + join(path, n) + "?"
	}
	for _, p := range all {
		if last := p[strings.LastIndexByte(p, '.')+1:]; strings.EqualFold(last, name) {
			return "did you mean " + p + "?"
		}
	}
	s := slices.Clone(siblings)
	slices.Sort(s)
	if s = slices.Compact(s); len(s) > 0 && len(s) <= 8 {
		return "known here are " + strings.Join(s, ", ")
	}
	return ""
}

// Claim says who takes a section: Into points to a struct, or to a map with
// string keys, as for [Section.Decode].
type Claim struct {
	Namespace string
	Into      any
}

// Decode fills all claims as [Section.Decode] does; several may be for one
// section, which they share. It also reports what belongs to no claim, as
// [Config.CheckUnknown] does. On an error nothing is changed, and the error
// names all problems in the order of the file, one line each.
func (c *Config) Decode(claims ...Claim) error {
	var (
		names    []string
		targets  []*target
		problems []*Error
	)
	into := map[string][]any{}
	for _, cl := range claims {
		if into[cl.Namespace] == nil {
			names = append(names, cl.Namespace)
		}
		into[cl.Namespace] = append(into[cl.Namespace], cl.Into)
	}
	options := map[string][]string{}
	for _, name := range names {
		t, p := c.Section(name).decode(into[name])
		targets, problems = append(targets, t...), append(problems, p...)
		for _, one := range t {
			if one.work.Kind() == reflect.Struct {
				options[name] = append(options[name], schemaOf(one.work.Type()).names()...)
			}
		}
	}
	problems = append(problems, c.unclaimed(names, options)...)
	if len(problems) > 0 {
		return joined(problems)
	}
	commit(targets)
	return nil
}

// CheckUnknown reports sections and variables that belong to none of the
// known namespaces, with the nearest known one. A program that decodes its
// sections one by one calls it once it knows its plugins; without it, a
// misspelt section is silently nobody's. Errors match [ErrUnknown] or
// [ErrDuplicate].
func (c *Config) CheckUnknown(known ...string) error { return joined(c.unclaimed(known, nil)) }

// unclaimed reports what belongs to none of the known namespaces; options are
// the names of their options, as far as they are known.
func (c *Config) unclaimed(known []string, options map[string][]string) (problems []*Error) {
	pasted := "" // the namespace whose options stand where sections should
	for _, m := range c.root().members {
		if slices.Contains(known, m.name) {
			continue
		}
		if e := c.otherSpelling(m, c.root(), "", known); e != nil {
			problems = append(problems, e)
			continue
		}
		at := c.placeOf(m.name, m)
		if e := m.noName("", at); e != nil {
			problems = append(problems, e)
			continue
		}
		e := &Error{Code: CodeUnknown, Path: m.name, Source: at.source, Text: "unknown section", order: at.order}
		within := slices.IndexFunc(known, func(ns string) bool { return slices.Contains(options[ns], m.name) })
		inner, namespace := m.value.find(m.name, known, 4)
		switch n, near := bus.Nearest(m.name, known); {
		case within >= 0 && known[within] == pasted:
			continue // said already
		case within >= 0:
			pasted = known[within]
			e.Text, e.Hint = "is an option of "+pasted+", not a section", c.asSection(pasted)
		case inner != "":
			e.Hint = fmt.Sprintf("put what is in %s at the top of the file: %s", inner, c.asSection(namespace))
		case near:
			e.Hint = "did you mean " + n + "?"
		case len(known) > 0:
			e.Hint = "known are " + strings.Join(known, ", ")
		}
		problems = append(problems, e)
	}
	for i, v := range c.env {
		if slices.ContainsFunc(known, func(ns string) bool { return c.belongs(v.name, ns) }) {
			continue
		}
		e := &Error{Code: CodeUnknown, Source: v.name, Text: "belongs to no section", order: order{variables, i}}
		section, option, _ := strings.Cut(strings.TrimPrefix(v.name, c.prefix), "_")
		upper := make([]string, len(known))
		for i, k := range known {
			upper[i] = envWord(k)
		}
		if n, ok := bus.Nearest(section, upper); ok && option != "" {
			e.Hint = "did you mean " + c.prefix + n + "_" + option + "?"
		} else if len(upper) > 0 {
			e.Hint = "variables begin with " + c.prefix + strings.Join(upper, "_ or "+c.prefix) + "_"
		}
		problems = append(problems, e)
	}
	return problems
}

// find looks for a known name among the groups in n, at most so deep, and
// returns the path of the group that holds it: a pasted page has its options in
// _genesys.widgets.webchat.
func (n *node) find(path string, known []string, depth int) (group, name string) {
	if depth == 0 {
		return "", ""
	}
	for _, m := range n.members {
		if slices.Contains(known, m.name) {
			return path, m.name
		}
	}
	for _, m := range n.members {
		if group, name = m.value.find(join(path, m.name), known, depth-1); group != "" {
			return group, name
		}
	}
	return "", ""
}

// asSection says how a section is written in the format of the file.
func (c *Config) asSection(namespace string) string {
	switch format(c.file) {
	case "json":
		return fmt.Sprintf(`write {"%s": {...}}`, namespace)
	case "toml":
		return fmt.Sprintf("write [%s] above its options", namespace)
	}
	return fmt.Sprintf("write %s: above its options and indent them", namespace)
}

// otherSpelling returns an error when m differs only in upper and lower case
// from a known name that its object holds too.
func (c *Config) otherSpelling(m member, in *node, path string, known []string) *Error {
	for _, o := range in.members {
		if o.name != m.name && strings.EqualFold(o.name, m.name) && slices.Contains(known, o.name) {
			at := c.placeOf(join(path, m.name), m)
			return &Error{
				Code: CodeDuplicate, Path: at.path, Source: at.source,
				Text:  fmt.Sprintf("is %s a second time, spelt differently", join(path, o.name)),
				Hint:  "keep " + join(path, o.name),
				order: at.order,
			}
		}
	}
	return nil
}

// placeOf is the place of a member of the file.
func (c *Config) placeOf(path string, m member) place {
	return place{path, c.at(m.line), order{cmp.Or(m.line, m.value.line), m.value.seq}}
}
