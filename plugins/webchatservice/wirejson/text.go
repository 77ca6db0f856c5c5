package wirejson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Unreadable says in one phrase why an answer cannot be read.
func Unreadable(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("the server's answer is broken JSON (at byte %d: %v)", syntax.Offset, err)
	}
	return "the server's " + err.Error()
}

// OneLine keeps a server's text from breaking a line or moving a terminal's cursor, and bounds it.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "..."
	}
	return s
}
