package chat

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is one option of a struct of options, as [NewFactory] describes them.
type Option struct {
	// Path is its place and name below the section: "dataURL", "cometD.channel".
	Path string
	// Field is the field, with its tags. Its Index leads from the struct.
	Field reflect.StructField
}

// OptionsOf returns the options of a struct type, in the order of its fields. A field that is a struct with a name of its
// own is a group. It panics where the type breaks the rules of [NewFactory].
func OptionsOf(t reflect.Type) []Option {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("chat: %v holds no options, a struct is wanted", t))
	}
	var all []Option
	var walk func(t reflect.Type, index []int, group string)
	walk = func(t reflect.Type, index []int, group string) {
		for i := range t.NumField() {
			f := t.Field(i)
			f.Index = append(slices.Clone(index), i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-":
			case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
				walk(f.Type, f.Index, group)
			case !f.IsExported():
			case name == "" || strings.Contains(name, "."):
				panic(fmt.Sprintf("chat: field %v.%s has the name %q, which is no option's", t, f.Name, name))
			default:
				path := joinPath(joinPath(group, f.Tag.Get("group")), name)
				if f.Type.Kind() == reflect.Struct && !DecodesItself(f.Type) {
					walk(f.Type, f.Index, path)
					continue
				}
				if slices.ContainsFunc(all, func(o Option) bool { return o.Path == path }) {
					panic(fmt.Sprintf("chat: two fields of %v are the option %s", t, path))
				}
				all = append(all, Option{path, f})
			}
		}
	}
	walk(t, nil, "")
	return all
}

func joinPath(group, name string) string {
	if group == "" || name == "" {
		return group + name
	}
	return group + "." + name
}

// DecodesItself reports whether values of a type read JSON or text by methods of their own.
func DecodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// WithDefaults returns config with the value of the tag default in each field that is zero. config is a struct of options,
// see [NewFactory].
func WithDefaults[C any](config C) C {
	fillDefaults(reflect.ValueOf(&config).Elem())
	return config
}

// fillDefaults sets the fields of a struct that are zero and have a default.
func fillDefaults(v reflect.Value) {
	for _, o := range OptionsOf(v.Type()) {
		if f := v.FieldByIndex(o.Field.Index); f.IsZero() {
			o.SetDefault(f)
		}
	}
}

// SetDefault sets v, which is of the option's type, to the option's default. An option without one leaves v as it is.
func (o Option) SetDefault(v reflect.Value) {
	text, ok := o.Field.Tag.Lookup("default")
	if !ok {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	wrong := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("chat: the default %q of option %s: %v", text, o.Path, err))
		}
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		wrong(err)
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() {
			n, err := strconv.ParseFloat(text, 64)
			wrong(err)
			v.SetInt(int64(n * float64(o.Unit())))
			return
		}
		n, err := strconv.ParseInt(text, 10, 64)
		wrong(err)
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		wrong(err)
		v.SetFloat(n)
	default:
		panic(fmt.Sprintf("chat: option %s of type %v cannot have a default", o.Path, v.Type()))
	}
}

// Unit is the unit of a [time.Duration], from the tag unit: a millisecond where that is empty.
func (o Option) Unit() time.Duration {
	switch unit := o.Field.Tag.Get("unit"); unit {
	case "", "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "min":
		return time.Minute
	case "h":
		return time.Hour
	default:
		panic(fmt.Sprintf("chat: option %s has the unit %q, want ms, s, min or h", o.Path, unit))
	}
}

// FormatConfig prints a struct of options, less its secrets, for the method Format of its type.
func FormatConfig(w io.Writer, config any) {
	text, err := MarshalConfig(config)
	if err != nil {
		text = []byte("{" + err.Error() + "}")
	}
	_, _ = w.Write(text) // a failed write is the business of who prints
}

// MarshalConfig returns a struct of options, or a pointer to one, as JSON by the names of the options, for the method
// MarshalJSON of its type. Options that are zero are left out. Secrets are hidden, and so is what stands before the @ of an
// address.
func MarshalConfig(config any) ([]byte, error) {
	v := reflect.Indirect(reflect.ValueOf(config))
	out := map[string]any{}
	for _, o := range OptionsOf(v.Type()) {
		f := v.FieldByIndex(o.Field.Index)
		if f.IsZero() {
			continue
		}
		group := out
		path := strings.Split(o.Path, ".")
		for _, name := range path[:len(path)-1] {
			if group[name] == nil {
				group[name] = map[string]any{}
			}
			group = group[name].(map[string]any)
		}
		value := f.Interface()
		switch d := value.(type) {
		case string:
			value = HideUserinfo(d)
		case time.Duration:
			value = float64(d) / float64(o.Unit())
		}
		group[path[len(path)-1]] = value
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(out)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// HideUserinfo returns an address with [Redacted] in the place of all that stands before its @, which may be a password.
// It is not choosy: what looks like an address, and is none that can be read, is treated alike.
func HideUserinfo(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	scheme := ""
	if i := strings.Index(address[:at], "//"); i >= 0 {
		scheme = address[:i+2]
	}
	return scheme + Redacted + address[at:]
}
