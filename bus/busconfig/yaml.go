package busconfig

import (
	"bytes"
	"strconv"

	"go.yaml.in/yaml/v3"
)

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
		return nil, b.yamlProblem(err, data)
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
