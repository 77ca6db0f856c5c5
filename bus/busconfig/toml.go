package busconfig

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

func parseTOML(b *builder, data []byte) (*node, error) {
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		msg, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), ": strconv.") // which repeats the value
		var de *toml.DecodeError
		if errors.As(err, &de) {
			line, col := de.Position()
			return nil, b.malformed(line, col, msg)
		}
		// What is left is sound by itself and contradicts something before.
		if _, twice := tomlLines(data); twice != nil {
			return nil, b.twice(*twice)
		}
		return nil, b.malformed(0, 0, msg)
	}
	lines, _ := tomlLines(data)
	return b.toml(all, "", lines, 0, 0)
}

// tomlLines finds the line of each key, by dotted path, and the first key or
// table that is there twice. Of an array of tables it knows the first.
func tomlLines(data []byte) (lines map[string]int, twice *repeated) {
	lines = map[string]int{}
	set := map[string]int{} // what may not be set again
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		path, line := "", 0
		if e.Kind == unstable.KeyValue {
			path = table
		}
		for it := e.Key(); it.Next(); {
			k := it.Node()
			path = join(path, string(k.Data))
			line = p.Shape(k.Raw).Start.Line
			if _, ok := lines[path]; !ok {
				lines[path] = line
			}
		}
		switch e.Kind {
		case unstable.ArrayTable:
			maps.DeleteFunc(set, func(k string, _ int) bool { return strings.HasPrefix(k, path+".") })
			table = path
			continue
		case unstable.Table:
			table = path
		}
		if first, ok := set[path]; ok && twice == nil {
			twice = &repeated{path, line, first}
		}
		set[path] = line
	}
	return lines, twice
}

func (b *builder) toml(v any, path string, lines map[string]int, line, depth int) (*node, error) {
	n, err := b.node(null, line, depth)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case map[string]any:
		n.kind = object
		for name, value := range v {
			p := join(path, name)
			at := lines[p]
			if at == 0 {
				at = line
			}
			c, err := b.toml(value, p, lines, at, depth+1)
			if err != nil {
				return nil, err
			}
			n.members = append(n.members, member{name, at, c})
		}
		slices.SortFunc(n.members, func(a, b member) int {
			if a.line != b.line {
				return a.line - b.line
			}
			return strings.Compare(a.name, b.name)
		})
	case []any:
		n.kind = list
		for _, item := range v {
			c, err := b.toml(item, path, lines, line, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, c)
		}
	case string:
		n.kind, n.text = text, v
	case bool:
		n.kind, n.text = boolean, strconv.FormatBool(v)
	case int64:
		n.kind, n.text = number, strconv.FormatInt(v, 10)
		n.raw = n.text
	case float64:
		n.kind = number
		if err := b.finite(n, v); err != nil {
			return nil, err
		}
		n.raw = n.text
	case time.Time:
		n.kind, n.text = text, v.Format(time.RFC3339Nano)
	default: // local dates and times
		n.kind, n.text = text, fmt.Sprint(v)
	}
	return n, nil
}
