package webchatservice

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Schema returns a struct that has all options of the webchat section, for a service with these factories: those of the
// service and of each wire, with their defaults. Its type is made for the occasion. Packages busconfig and busschema
// read it, and so the manual, the environment variables and the JSON Schema of the section say what the factories at
// hand say.
func Schema(factories []chat.Factory) any {
	all := describe(factories)
	v := reflect.New(structOf(all, "")).Elem()
	for _, d := range all {
		fieldAt(v, d.path).Set(d.value)
	}
	return v.Interface()
}

// schema is what a file may hold.
type schema struct {
	typ    reflect.Type    // a struct
	groups map[string]bool // paths of the groups
}

// newSchema returns what a file may hold for a service with these factories: their options, and the vendor's, which
// have no environment variables where no factory has them.
func newSchema(factories []chat.Factory) *schema {
	all := describe(factories)
	for _, path := range vendorOptions() {
		if !slices.ContainsFunc(all, func(d described) bool { return d.path == path }) {
			all = append(all, described{path: path, typ: reflect.TypeFor[json.RawMessage](), tag: `env:"-"`})
		}
	}
	paths := make([]string, len(all))
	for i, d := range all {
		paths[i] = d.path
	}
	return &schema{structOf(all, ""), groupsOf(paths)}
}

// Options returns a struct whose fields are what a file may hold; see busconfig.Open.
func (c *Config) Options() any {
	files := c.files
	if files == nil {
		files = newSchema(nil)
	}
	return reflect.Zero(files.typ).Interface()
}

// described is an option of a schema.
type described struct {
	path  string
	typ   reflect.Type
	tag   reflect.StructTag
	value reflect.Value // the default
}

// describe returns the options of the wires in the section itself, those of the service, those of the wires in groups,
// those of the window.
func describe(factories []chat.Factory) []described {
	var top, grouped, service, window []described
	defaults := reflect.ValueOf(DefaultConfig())
	face, _ := defaults.Type().FieldByName("Interface")
	for _, o := range serviceOptions() {
		d := described{o.Path, o.Field.Type, o.Field.Tag, defaults.FieldByIndex(o.Field.Index)}
		if o.Field.Index[0] == face.Index[0] {
			window = append(window, d)
		} else {
			service = append(service, d)
		}
	}
	for _, c := range shared(factories) {
		if d := c.merged(); strings.Contains(d.path, ".") {
			grouped = append(grouped, d)
		} else {
			top = append(top, d)
		}
	}
	return slices.Concat(top, service, grouped, window)
}

// sharedOption is an option that one or more factories have.
type sharedOption struct {
	names []string // of the factories
	all   []chat.Option
}

// shared returns the options of factories, each once.
func shared(factories []chat.Factory) []*sharedOption {
	var list []*sharedOption
	for _, f := range factories {
		for _, o := range chat.OptionsOf(reflect.TypeOf(f.Config()).Elem()) {
			i := slices.IndexFunc(list, func(c *sharedOption) bool { return c.all[0].Path == o.Path })
			if i < 0 {
				i, list = len(list), append(list, &sharedOption{})
			}
			list[i].names, list[i].all = append(list[i].names, f.Name), append(list[i].all, o)
		}
	}
	return list
}

// merged describes the option. Where factories differ about it, the description says what each means, and what each of
// them allows is allowed.
func (c *sharedOption) merged() described {
	first := c.all[0]
	d := described{path: first.Path, typ: shownAs(first.Field), tag: first.Field.Tag, value: reflect.New(first.Field.Type).Elem()}
	first.SetDefault(d.value)
	differ := false
	for _, o := range c.all[1:] {
		a, b := first.Field.Tag, o.Field.Tag
		for _, key := range []string{"doc", "default", "min", "max", "oneof", "unit"} {
			differ = differ || a.Get(key) != b.Get(key)
		}
		if shownAs(o.Field) != d.typ || a.Get("unit") != b.Get("unit") {
			d.typ, d.value = reflect.TypeFor[any](), reflect.Zero(reflect.TypeFor[any]())
		}
	}
	if differ {
		var parts []string
		for i, o := range c.all {
			part := c.names[i] + ": " + o.Field.Tag.Get("doc")
			if def, ok := o.Field.Tag.Lookup("default"); ok {
				part += ", default " + def
			}
			switch lo, hi := o.Field.Tag.Get("min"), o.Field.Tag.Get("max"); {
			case lo != "" && hi != "":
				part += ", " + lo + " to " + hi
			case lo != "":
				part += ", at least " + lo
			case hi != "":
				part += ", at most " + hi
			}
			parts = append(parts, part)
		}
		d.tag = reflect.StructTag(fmt.Sprintf("unit:%q doc:%q", first.Field.Tag.Get("unit"), strings.Join(parts, "; ")))
	}
	if d.value.Type() != d.typ { // a secret, shown as a Key
		d.value = reflect.Zero(d.typ)
	}
	return d
}

// shownAs is the type by which a schema has a field: a secret that may be written as a number is a [Key].
func shownAs(f reflect.StructField) reflect.Type {
	switch {
	case f.Type == reflect.TypeFor[chat.Secret]() && f.Tag.Get("accept") == "number":
		return reflect.TypeFor[Key]()
	case f.Type == reflect.TypeFor[map[string]chat.Secret]():
		return reflect.TypeFor[map[string]Key]()
	}
	return f.Type
}

// structOf returns a struct type with the options of the group at path, in their order, and structs for the groups in
// it.
func structOf(all []described, path string) reflect.Type {
	var fields []reflect.StructField
	seen := map[string]bool{}
	for _, d := range all {
		rest, ok := strings.CutPrefix(d.path, path)
		if !ok {
			continue
		}
		name, _, nested := strings.Cut(rest, ".")
		if seen[name] {
			continue
		}
		seen[name] = true
		f := reflect.StructField{Name: fieldName(len(fields)), Type: d.typ}
		if nested {
			f.Type = structOf(all, path+name+".")
			f.Tag = reflect.StructTag(fmt.Sprintf("json:%q", name+",omitzero"))
		} else {
			f.Tag = reflect.StructTag(fmt.Sprintf("json:%q", name+",omitempty"))
			for _, key := range []string{"unit", "min", "max", "oneof", "accept", "type", "doc", "env"} {
				if value, ok := d.tag.Lookup(key); ok {
					f.Tag += reflect.StructTag(fmt.Sprintf(" %s:%q", key, value))
				}
			}
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

// fieldName is the name of a field that is known by its tag.
func fieldName(i int) string { return "F" + strconv.Itoa(i) }

// fieldAt returns the field of a struct of structOf for the option at path.
func fieldAt(v reflect.Value, path string) reflect.Value {
	name, rest, nested := strings.Cut(path, ".")
	for i := range v.NumField() {
		if tagged, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tagged == name {
			if nested {
				return fieldAt(v.Field(i), rest)
			}
			return v.Field(i)
		}
	}
	panic("webchatservice: no field for option " + path)
}
