package wirejson

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// The functions of this file scan JSON that is known to be valid: see [Valid]. They look at each byte once. Decoding
// raw values one inside the other would check the inner ones again and again.

// EachMember calls f for the members of an object, in order; name is without its quotes. It reports
// whether b is an object.
func EachMember(b []byte, f func(name, value []byte)) bool {
	return EachPlace(b, func(name []byte, at Place) { f(name, b[at.Begin:at.End:at.End]) })
}

// Place is where a value is in a text: its first byte, and the one behind its last.
type Place struct{ Begin, End int }

// EachPlace is [EachMember] for a caller who wants to know where in b the values are.
func EachPlace(b []byte, f func(name []byte, at Place)) bool {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		end := skipString(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unquote(b[i:end]))
		}
		begin := skipSpace(b, skipSpace(b, end)+1) // behind the colon
		end = skipValue(b, begin)
		f(name, Place{begin, end})
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return true
}

// EachElement calls f for the elements of an array, in order. It reports whether b is an array.
func EachElement(b []byte, f func(value []byte)) bool {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return false
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; {
		end := skipValue(b, i)
		f(b[i:end:end])
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(b) {
		switch b[i] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

// skipString returns where the string that begins at i ends.
func skipString(b []byte, i int) int {
	for i = skipText(b, i+1); b[i] != '"'; i = skipText(b, i+2) { // at a backslash
	}
	return i + 1
}

// unquote returns the text of a string.
func unquote(literal []byte) string {
	if inner := literal[1 : len(literal)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(literal, &s) // it is valid
	return s
}

// Scalar returns a value as text whatever its type: a string's text, else the literal; null is "".
// Servers and the proxies in front of them send numbers as text and the reverse (wire-gms Uncertain 2).
func Scalar(value []byte) string {
	switch {
	case len(value) == 0 || IsNull(value):
		return ""
	case value[0] == '"':
		return unquote(value)
	}
	return string(value)
}

// IsNull reports whether a value is null.
func IsNull(value []byte) bool { return string(value) == "null" }

// Dig returns a member of a member of a valid JSON value, or nil. Objects on the way may be wrapped in strings.
func Dig(value []byte, path ...string) []byte {
	for _, step := range path {
		if len(value) > 0 && value[0] == '"' {
			inner := []byte(unquote(value))
			if !json.Valid(inner) {
				return nil
			}
			value = inner
		}
		var found []byte
		EachMember(value, func(name, v []byte) {
			if string(name) == step {
				found = v
			}
		})
		value = found
	}
	return value
}

// Integer reads a whole number, also one written as 1.7e12 or 12.0.
func Integer(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1<<53 && f < 1<<53 && f == float64(int64(f)) {
		return int64(f), true
	}
	return 0, false
}
