package wirejson

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// Valid reports whether b is one JSON value in valid UTF-8. It says what [json.Valid] and [utf8.Valid] say
// together, in a fraction of the time: of what a server sends it is the text of strings that counts.
func Valid(b []byte) bool {
	i := validValue(b, skipSpace(b, 0), 0)
	if i == tooDeep {
		return json.Valid(b) && utf8.Valid(b)
	}
	return i != invalid && skipSpace(b, i) == len(b)
}

// What is no place in a text.
const (
	invalid = -1
	tooDeep = -2
)

// deepest is how deep values may be nested until [json.Valid] is asked, which needs no stack for it.
const deepest = 100

// validValue returns where the value that begins at i ends.
func validValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return invalid
	}
	switch c := b[i]; {
	case c == '"':
		return validString(b, i)
	case c == '{':
		return validObject(b, i, depth+1)
	case c == '[':
		return validArray(b, i, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return validNumber(b, i)
	}
	for _, word := range [...]string{"null", "true", "false"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word)
		}
	}
	return invalid
}

func validObject(b []byte, i, depth int) int {
	if depth > deepest {
		return tooDeep
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return invalid
		}
		if i = validString(b, i); i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return invalid
		}
		if i = validValue(b, skipSpace(b, i+1), depth); i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) {
			return invalid
		}
		switch b[i] {
		case '}':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return invalid
		}
	}
}

func validArray(b []byte, i, depth int) int {
	if depth > deepest {
		return tooDeep
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = validValue(b, i, depth); i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) {
			return invalid
		}
		switch b[i] {
		case ']':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return invalid
		}
	}
}

func validNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && b[i] >= '1' && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return invalid
	}
	if i < len(b) && b[i] == '.' {
		begin := i + 1
		if i = skipDigits(b, begin); i == begin {
			return invalid
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		begin := i
		if i = skipDigits(b, begin); i == begin {
			return invalid
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// validString returns where the string that begins at i ends.
func validString(b []byte, i int) int {
	for i++; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = validEscape(b, i+1); i < 0 {
				return i
			}
		case c < ' ':
			return invalid
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n <= 1 {
				return invalid
			}
			i += n
		default:
			i = skipPlain(b, i+1)
		}
	}
	return invalid
}

// validEscape returns where the escape ends that has its letter at i.
func validEscape(b []byte, i int) int {
	if i >= len(b) {
		return invalid
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return invalid
		}
		for _, c := range b[i+1 : i+5] {
			if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
				return invalid
			}
		}
		return i + 5
	}
	return invalid
}

// Eight bytes at once: each has its highest bit set where ...
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeros marks the first byte of x that is 0, and perhaps some behind it.
func zeros(x uint64) uint64 { return (x - ones) & ^x & highs }

// skipPlain returns the first place from i on of a quote, a backslash, a control character or what is not ASCII.
func skipPlain(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := x&highs | (x-ones*' ')&^x&highs | zeros(x^ones*'"') | zeros(x^ones*'\\'); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// skipText returns the first place from i on of a quote or a backslash.
func skipText(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := zeros(x^ones*'"') | zeros(x^ones*'\\'); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}
