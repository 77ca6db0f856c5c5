package busconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// String returns the word that error messages use.
func (k kind) String() string {
	return [...]string{"empty", "true or false", "a number", "text", "a list", "a group of options"}[k]
}

// node is a value as the file has it, whatever the format: keys keep their
// case and order, numbers their digits.
type node struct {
	kind    kind
	line    int      // 0 when not known
	text    string   // of a text; "true" or "false"; a number as JSON writes it
	raw     string   // a number as the file writes it
	items   []*node  // of a list
	members []member // of an object
	second  *node    // another reading of a variable, for a type that decodes itself
}

type member struct {
	name  string
	line  int
	value *node
}

func (n *node) get(name string) (member, bool) {
	for _, m := range n.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

const (
	maxDepth = 200
	maxNodes = 200_000
)

// builder makes nodes and bounds how many, so that a small file with aliases
// in aliases cannot fill the memory.
type builder struct {
	file  string
	nodes int
}

func (b *builder) malformed(line, column int, text string) error {
	src := b.file
	if line > 0 {
		src += ":" + strconv.Itoa(line)
		if column > 0 {
			src += ":" + strconv.Itoa(column)
		}
	}
	return &Error{Code: CodeMalformed, Source: src, Text: text}
}

func (b *builder) node(k kind, line, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, b.malformed(line, 0, fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	if b.nodes++; b.nodes > maxNodes {
		return nil, b.malformed(line, 0, fmt.Sprintf("holds more than %d values", maxNodes))
	}
	return &node{kind: k, line: line}, nil
}

// add puts a member into n, unless n has one of that name.
func (b *builder) add(n *node, m member, seen map[string]int, path string) error {
	if first, ok := seen[m.name]; ok {
		return b.twice(repeated{join(path, m.name), m.line, first})
	}
	seen[m.name] = m.line
	n.members = append(n.members, m)
	return nil
}

// repeated is a key that is there twice.
type repeated struct {
	path        string
	line, first int
}

func (b *builder) twice(r repeated) error {
	return &Error{
		Code: CodeDuplicate, Path: r.path, Source: fmt.Sprintf("%s:%d", b.file, r.line),
		Text: "is there twice", Hint: fmt.Sprintf("the first is on line %d", r.first),
	}
}

// finite sets the number of n from f.
func (b *builder) finite(n *node, f float64) error {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return b.malformed(n.line, 0, "infinity and not-a-number are no values of an option")
	}
	out, err := json.Marshal(f)
	n.text = string(out)
	return err
}

// parseTree reads a whole file, whose top level must be an object.
func parseTree(file string, data []byte, parse func(*builder, []byte) (*node, error)) (*node, error) {
	b := &builder{file: file}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := invalidUTF8(data); i >= 0 {
		line, col := position(data, i)
		return nil, b.malformed(line, col, "is not UTF-8")
	}
	root, err := parse(b, data)
	if err != nil {
		return nil, err
	}
	if root.kind == null {
		root = &node{kind: object}
	}
	if root.kind != object {
		return nil, &Error{
			Code: CodeType, Source: file, Text: "the file is " + root.kind.String(),
			Hint: "want one section for each namespace, as webchat",
		}
	}
	return root, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// position returns line and column of an offset, both from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):])
}

func parseJSON(b *builder, data []byte) (*node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var se *json.SyntaxError
		if errors.As(err, &se) {
			line, col := position(data, int(se.Offset)-1)
			return nil, b.malformed(line, col, se.Error())
		}
		return nil, b.malformed(0, 0, err.Error())
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	p := jsonParser{b: b, dec: dec, data: data, line: 1}
	return p.value("", 0)
}

type jsonParser struct {
	b    *builder
	dec  *json.Decoder
	data []byte
	// line is the line of offset at.
	line, at int
}

func (p *jsonParser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, p.b.malformed(p.line, 0, err.Error())
	}
	to := int(p.dec.InputOffset())
	p.line += bytes.Count(p.data[p.at:to], []byte("\n"))
	p.at = to
	return t, nil
}

func (p *jsonParser) value(path string, depth int) (*node, error) {
	t, err := p.token()
	if err != nil {
		return nil, err
	}
	n, err := p.b.node(null, p.line, depth)
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case bool:
		n.kind, n.text = boolean, strconv.FormatBool(t)
	case json.Number:
		if _, err := t.Float64(); err != nil {
			return nil, p.b.malformed(p.line, 0, "the number is too large")
		}
		n.kind, n.text, n.raw = number, t.String(), t.String()
	case string:
		n.kind, n.text = text, t
	case json.Delim:
		if t == '[' {
			n.kind = list
			for p.dec.More() {
				item, err := p.value(path, depth+1)
				if err != nil {
					return nil, err
				}
				n.items = append(n.items, item)
			}
		} else {
			n.kind = object
			seen := map[string]int{}
			for p.dec.More() {
				key, err := p.token()
				if err != nil {
					return nil, err
				}
				name, _ := key.(string)
				line := p.line
				v, err := p.value(join(path, name), depth+1)
				if err != nil {
					return nil, err
				}
				if err := p.b.add(n, member{name, line, v}, seen, path); err != nil {
					return nil, err
				}
			}
		}
		if _, err := p.token(); err != nil { // the closing bracket
			return nil, err
		}
	}
	return n, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// quotedAnchor is where yaml repeats a piece of the file.
var quotedAnchor = regexp.MustCompile(`(?s)anchor '.*'`)

func parseYAML(b *builder, data []byte) (*node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if err != nil && err.Error() == "EOF" {
		return &node{}, nil
	}
	if err == nil {
		if next := dec.Decode(&more); next == nil {
			return nil, b.malformed(more.Line, 0, "a second document begins; want one")
		} else if next.Error() != "EOF" {
			err = next
		}
	}
	if err != nil {
		m := yamlError.FindStringSubmatch(err.Error())
		if m == nil {
			return nil, b.malformed(0, 0, err.Error())
		}
		line, _ := strconv.Atoi(m[1])
		return nil, b.malformed(line, 0, quotedAnchor.ReplaceAllString(m[2], "anchor (a text that begins with * or & wants quotes)"))
	}
	return b.yaml(&doc, "", 0)
}

func (b *builder) yaml(y *yaml.Node, path string, depth int) (*node, error) {
	if y.Kind == 0 {
		return &node{}, nil
	}
	n, err := b.node(null, y.Line, depth)
	if err != nil {
		return nil, err
	}
	switch y.Kind {
	case yaml.DocumentNode:
		if len(y.Content) == 0 {
			return n, nil
		}
		return b.yaml(y.Content[0], path, depth)
	case yaml.AliasNode:
		return b.yaml(y.Alias, path, depth+1)
	case yaml.SequenceNode:
		n.kind = list
		for _, c := range y.Content {
			item, err := b.yaml(c, path, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.MappingNode:
		n.kind = object
		return n, b.yamlMembers(n, y, path, depth)
	}

	n.text, n.raw = y.Value, y.Value
	switch tag := y.ShortTag(); tag {
	case "!!null":
	case "!!str", "!!timestamp":
		n.kind = text
	case "!!bool":
		n.kind = boolean
		var v bool
		if err := y.Decode(&v); err != nil {
			return nil, b.malformed(y.Line, y.Column, "not a boolean")
		}
		n.text = strconv.FormatBool(v)
	case "!!int", "!!float":
		n.kind = number
		var i int64
		var f float64
		if y.Decode(&i) == nil && tag == "!!int" {
			n.text = strconv.FormatInt(i, 10)
		} else if err := y.Decode(&f); err != nil {
			return nil, b.malformed(y.Line, y.Column, "not a number")
		} else if err := b.finite(n, f); err != nil {
			return nil, err
		}
	default:
		return nil, b.malformed(y.Line, y.Column, "tags are not supported (a text that begins with ! wants quotes)")
	}
	return n, nil
}

func (b *builder) yamlMembers(n *node, y *yaml.Node, path string, depth int) error {
	seen := map[string]int{}
	var merged []member
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return b.malformed(k.Line, k.Column, "a key must be a name")
		}
		if k.ShortTag() == "!!merge" {
			m, err := b.yaml(v, path, depth+1)
			if err != nil {
				return err
			}
			for _, from := range append([]*node{m}, m.items...) {
				merged = append(merged, from.members...)
			}
			if m.kind != object && m.kind != list {
				return b.malformed(k.Line, k.Column, "<< takes a group of options, or a list of groups")
			}
			continue
		}
		value, err := b.yaml(v, join(path, k.Value), depth+1)
		if err != nil {
			return err
		}
		if err := b.add(n, member{k.Value, k.Line, value}, seen, path); err != nil {
			return err
		}
	}
	// What the mapping says itself wins over what << brings in, and of
	// several merged ones the first (YAML merge key, type draft 2005-01-18).
	for _, m := range merged {
		if _, ok := seen[m.name]; !ok {
			seen[m.name] = m.line
			n.members = append(n.members, m)
		}
	}
	return nil
}

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
