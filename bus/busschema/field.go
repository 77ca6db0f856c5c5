package busschema

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// field is a member of the object that a struct is written as.
type field struct {
	name     string
	t        reflect.Type
	doc      string
	optional bool // may be left out
	tagged   bool // named by its tag
	index    []int
}

// fieldsOf returns the members of a struct in their order, by the rules of encoding/json: of those with one
// name the least nested wins, among these the one that a tag names, and if there are several still,
// none.
//
// These are not Go's rules of promotion, by which a field hides another that has the name of an
// embedded type.
func fieldsOf(t reflect.Type) []field {
	byName := map[string][]field{}
	collect(t, nil, false, map[reflect.Type]bool{}, byName)
	var out []field
	for _, all := range byName {
		slices.SortStableFunc(all, func(a, b field) int {
			return cmp.Or(cmp.Compare(len(a.index), len(b.index)), cmp.Compare(rank(a), rank(b)))
		})
		if len(all) > 1 && len(all[0].index) == len(all[1].index) && all[0].tagged == all[1].tagged {
			continue
		}
		out = append(out, all[0])
	}
	slices.SortFunc(out, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return out
}

func rank(f field) int {
	if f.tagged {
		return 0
	}
	return 1
}

// collect adds the fields of t, which lies at index, and of the structs embedded in it.
func collect(t reflect.Type, index []int, optional bool, open map[reflect.Type]bool, byName map[string][]field) {
	if open[t] {
		return
	}
	open[t] = true
	defer delete(open, t)
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		at := append(slices.Clone(index), i)
		embedded := sf.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case tag == "-":
		case sf.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			// What a nil pointer embeds is left out.
			collect(embedded, at, optional || sf.Type.Kind() == reflect.Pointer, open, byName)
		case sf.IsExported():
			f := field{name: cmp.Or(name, sf.Name), t: sf.Type, doc: sf.Tag.Get("doc"), optional: optional, tagged: name != "", index: at}
			for _, o := range strings.Split(opts, ",") {
				f.optional = f.optional || o == "omitempty" || o == "omitzero"
			}
			byName[f.name] = append(byName[f.name], f)
		}
	}
}
