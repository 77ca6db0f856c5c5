package busconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
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
	seq     int      // which node of the file it is, in the order of the file
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

// number counts the nodes below n and n itself, from seq on, and returns the
// next number.
func (n *node) number(seq int) int {
	n.seq = seq
	seq++
	for _, i := range n.items {
		seq = i.number(seq)
	}
	for _, m := range n.members {
		seq = m.value.number(seq)
	}
	return seq
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
	root.number(0)
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
