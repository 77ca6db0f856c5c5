package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// clean returns s fit for one line of a terminal, whoever wrote it. Control characters, which could
// move the cursor or rename the window, and format characters, among them those that turn the
// direction of writing and so the order of what is read, are shown as escapes; so are line breaks.
// Tabs become spaces, and bytes that are no UTF-8 the replacement character.
func clean(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case !unsafeRune(r):
			b.WriteRune(r) // invalid bytes come as U+FFFD
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

// cleanLines is clean for text that may have several lines. There is at least one.
func cleanLines(s string) []string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return lines
}

// cleanJSON does for JSON what clean does for text, and changes none of its meaning: characters that
// must not reach a terminal are escaped as JSON allows. Outside of strings JSON has none of them but
// white space, which the caller has not left in.
func cleanJSON(b []byte) []byte {
	if utf8.Valid(b) && strings.IndexFunc(string(b), unsafeRune) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for _, r := range string(b) {
		switch {
		case !unsafeRune(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// unsafeRune reports whether a terminal may do something else with r than show it.
func unsafeRune(r rune) bool {
	switch {
	case r < 0x7f:
		return r < ' '
	case r == '\u200c' || r == '\u200d': // join letters and emoji, in one place
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// oneLine returns what err says in one clean line: the parts of joined errors side by side.
func oneLine(err error) string {
	lines := slices.DeleteFunc(cleanLines(err.Error()), func(l string) bool { return strings.TrimSpace(l) == "" })
	return strings.Join(lines, "; ")
}

// terminal reports whether f, a reader or writer, is a terminal.
func terminal(f any) bool {
	fd, ok := f.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(fd.Fd()))
}

// colours reports whether output to w is to be coloured: on a terminal, if the environment wants it.
func colours(w any, getenv func(string) string) bool { return terminal(w) && wantsColours(getenv) }

// wantsColours reports whether the environment lets terminals have colours: it has no NO_COLOR
// (https://no-color.org) and does not name one that has none.
func wantsColours(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
