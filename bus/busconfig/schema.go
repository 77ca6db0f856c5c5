package busconfig

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// schema is what a struct type says of its options.
type schema struct {
	fields []*field
}

type field struct {
	name  string
	index []int // as for reflect.Value.FieldByIndex
	typ   reflect.Type
	tags  tags
	sub   *schema // not nil for a nested section
}

// tags are the refinements that the package comment lists.
type tags struct {
	unit     string
	min, max *float64
	oneof    []string
	number   bool // a string may be written as a number
	typ, doc string

	noVariable bool // the environment does not have it
}

func (s *schema) find(name string) *field {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (s *schema) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// leaf is one option, with the way that leads to it.
type leaf struct {
	path string
	env  string
	way  []*field // the last is the option's own field
}

func (l leaf) field() *field { return l.way[len(l.way)-1] }

// leaves returns all options in the order of the struct. It panics when two
// share a variable: the type's author has to rename one.
func (s *schema) leaves(namespace, prefix string) []leaf {
	var out []leaf
	var walk func(s *schema, path, env string, way []*field)
	walk = func(s *schema, path, env string, way []*field) {
		for _, f := range s.fields {
			l := leaf{join(path, f.name), env + "_" + envWord(f.name), append(slices.Clone(way), f)}
			if f.sub != nil {
				walk(f.sub, l.path, l.env, l.way)
				continue
			}
			if i := slices.IndexFunc(out, func(o leaf) bool { return o.env == l.env }); i >= 0 {
				panic(fmt.Sprintf("busconfig: options %s and %s share the variable %s", out[i].path, l.path, l.env))
			}
			out = append(out, l)
		}
	}
	walk(s, namespace, prefix+envWord(namespace), nil)
	return out
}

// schemaOf reads a struct type. It panics when a field cannot be an option.
func schemaOf(t reflect.Type, outer ...reflect.Type) *schema {
	s := &schema{}
	outer = append(slices.Clone(outer), t)
	var add func(t reflect.Type, index []int)
	add = func(t reflect.Type, index []int) {
		for i := range t.NumField() {
			sf := t.Field(i)
			at := append(slices.Clone(index), i)
			name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
				add(sf.Type, at)
				continue
			}
			if !sf.IsExported() {
				continue
			}
			if name == "" {
				name = sf.Name
			}
			if strings.Contains(name, ".") {
				panic(fmt.Sprintf("busconfig: the name of field %s.%s has a dot, which stands between group and option", t, sf.Name))
			}
			f := &field{name: name, index: at, typ: sf.Type, tags: tagsOf(t, sf)}
			if inner := deref(sf.Type); inner.Kind() == reflect.Struct && !decodesItself(inner) && !slices.Contains(outer, inner) {
				f.sub = schemaOf(inner, outer...)
				if len(f.sub.fields) == 0 && inner.NumField() > 0 {
					panic(fmt.Sprintf("busconfig: type %s of field %s.%s keeps its fields to itself and decodes neither JSON nor text", inner, t, sf.Name))
				}
			} else if !supported(sf.Type) {
				panic(fmt.Sprintf("busconfig: field %s.%s of type %s cannot be an option; give it the tag json:\"-\"", t, sf.Name, sf.Type))
			}
			s.fields = append(s.fields, f)
		}
	}
	add(t, nil)
	return s
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// decodesItself reports whether t, or a pointer to it, takes JSON or text.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func supported(t reflect.Type) bool {
	if decodesItself(t) {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return supported(t.Elem())
	case reflect.Map:
		return t.Key().Kind() == reflect.String && supported(t.Elem())
	case reflect.Interface:
		return t.NumMethod() == 0
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Array, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return false
	}
	return true
}

func tagsOf(t reflect.Type, sf reflect.StructField) tags {
	out := tags{unit: sf.Tag.Get("unit"), typ: sf.Tag.Get("type"), doc: sf.Tag.Get("doc"), number: sf.Tag.Get("accept") == "number", noVariable: sf.Tag.Get("env") == "-"}
	bound := func(name string) *float64 {
		s, ok := sf.Tag.Lookup(name)
		if !ok {
			return nil
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(fmt.Sprintf("busconfig: tag %s of field %s.%s is not a number", name, t, sf.Name))
		}
		return &v
	}
	out.min, out.max = bound("min"), bound("max")
	if s := sf.Tag.Get("oneof"); s != "" {
		out.oneof = strings.Split(s, ",")
	}
	if deref(sf.Type) == reflect.TypeFor[time.Duration]() {
		if out.unit == "" {
			out.unit = "ms"
		}
		if unitOf(out.unit) == 0 {
			panic(fmt.Sprintf("busconfig: field %s.%s has the unit %q; a time.Duration takes ms, s, min or h", t, sf.Name, out.unit))
		}
	}
	return out
}

func unitOf(unit string) time.Duration {
	switch unit {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "min":
		return time.Minute
	case "h":
		return time.Hour
	}
	return 0
}

// typeName is the type of an option in words, for documentation.
func typeName(t reflect.Type) string {
	t = deref(t)
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "number"
	case decodesItself(t) && t.Kind() != reflect.Slice && t.Kind() != reflect.Map:
		return "value"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number"
	case reflect.String:
		return "string"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "object"
	}
	return "any"
}

// Field describes one option of a section, for manuals and commented files.
type Field struct {
	// Path is the option's full path: webchat.cometD.channel.
	Path string
	// Env is its environment variable, with the default prefix.
	Env string
	// Type is boolean, number, string, list, object, any or value (which
	// decodes itself), or the field's type tag.
	Type string
	// Unit is the unit of a number; may be empty.
	Unit string
	// Range is what is allowed, in words; may be empty.
	Range string
	// Default is the value that the struct held, as JSON; empty for a nil
	// pointer or any.
	Default string
	// Doc is the field's doc tag.
	Doc string
}

// Describe returns the options of a section, in the order of the struct that
// defaults is or points to. It panics if that is no struct, or if one of its
// fields cannot be an option.
func Describe(namespace string, defaults any) []Field {
	rv := reflect.Indirect(reflect.ValueOf(defaults))
	if rv.Kind() != reflect.Struct {
		panic(fmt.Sprintf("busconfig: Describe wants a struct, not %T", defaults))
	}
	var out []Field
	for _, l := range schemaOf(rv.Type()).leaves(namespace, DefaultPrefix+"_") {
		f := l.field()
		d := Field{
			Path: l.path, Env: l.env, Type: cmp.Or(f.tags.typ, typeName(f.typ)), Unit: f.tags.unit,
			Range: f.tags.limits(), Doc: f.tags.doc,
		}
		if len(f.tags.oneof) > 0 {
			d.Range = strings.Join(f.tags.oneof, ", ")
		}
		v := rv
		for _, step := range l.way {
			if v.Kind() == reflect.Pointer {
				if v.IsNil() {
					v = reflect.Zero(v.Type().Elem())
				} else {
					v = v.Elem()
				}
			}
			v = v.FieldByIndex(step.index)
		}
		d.Default = defaultOf(v, f.tags)
		out = append(out, d)
	}
	return out
}

func defaultOf(v reflect.Value, t tags) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
	case reflect.Map:
		if v.IsNil() {
			return "{}"
		}
	case reflect.Slice:
		if v.IsNil() {
			return "[]"
		}
	}
	if d, ok := reflect.Indirect(v).Interface().(time.Duration); ok {
		return formatNumber(float64(d) / float64(unitOf(t.unit)))
	}
	out, err := json.Marshal(v.Interface())
	if err != nil {
		return ""
	}
	return string(out)
}

// limits says in words which numbers are allowed; empty when all are.
func (t tags) limits() string {
	switch {
	case t.min != nil && t.max != nil:
		return formatNumber(*t.min) + " to " + formatNumber(*t.max)
	case t.min != nil:
		return "at least " + formatNumber(*t.min)
	case t.max != nil:
		return "at most " + formatNumber(*t.max)
	}
	return ""
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
