package busconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

func parseJSON(b *builder, data []byte) (*node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var se *json.SyntaxError
		if errors.As(err, &se) {
			line, col := position(data, int(se.Offset)-1)
			return nil, b.malformed(line, col, se.Error()+jsonHint(data, int(se.Offset)-1))
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

// jsonHint is what to add to a complaint about the byte at an offset.
func jsonHint(data []byte, offset int) string {
	if offset < 0 || offset >= len(data) {
		return ""
	}
	before := bytes.TrimRight(data[:offset], " \t\r\n")
	switch c := data[offset]; {
	case c == '/':
		return "; JSON has no comments: remove them, or name the file .yaml and begin them with #"
	case c == '\'':
		return "; JSON wants double quotes"
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return "; remove the comma before it"
	case bytes.HasSuffix(before, []byte("{")) || bytes.HasSuffix(before, []byte(",")):
		return "; names want double quotes, or name the file .yaml"
	case len(before) == 0:
		return "; a JSON file begins with {"
	}
	return ""
}
