package bus

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds names, so that one taken from the network cannot grow memory.
const maxName = 256

// splitName cuts "Namespace.member" at its first dot.
func splitName(name string) (namespace, member string, ok bool) {
	return strings.Cut(name, ".")
}

func badName(name, why string) error {
	return ErrBadName.with(quoteName(name), why)
}

// quoteName shortens and quotes a name for an error.
func quoteName(name string) string {
	if len(name) > 64 {
		name = name[:64] + "..."
	}
	return "name " + strconv.Quote(name)
}

// checkSegment accepts one part between dots: any printable text without
// white space, dots or stars. CXBus event names use colons, dashes and more.
func checkSegment(s string) string {
	if s == "" {
		return "a part between dots is empty"
	}
	if plain(s) {
		return ""
	}
	for _, r := range s {
		switch {
		case r == utf8.RuneError:
			return "not valid UTF-8"
		case r == '*':
			return `"*" is for subscriptions`
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
			return "white space and control characters are not allowed"
		}
	}
	return ""
}

// plain reports whether s has ASCII letters, digits and the commonest signs
// only, as nearly all names do.
func plain(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '_', b == '-', b == ':':
		default:
			return false
		}
	}
	return true
}

func checkNamespace(ns string) error {
	if len(ns) > maxName {
		return badName(ns, "longer than 256 bytes")
	}
	if strings.Contains(ns, ".") {
		return badName(ns, "a namespace has no dot")
	}
	if why := checkSegment(ns); why != "" {
		return badName(ns, why)
	}
	return nil
}

// checkEvent checks the member part of an event, which may have dots.
func checkEvent(member string) error {
	if len(member) > maxName {
		return badName(member, "longer than 256 bytes")
	}
	for part := range strings.SplitSeq(member, ".") {
		if why := checkSegment(part); why != "" {
			return badName(member, why)
		}
	}
	return nil
}

// checkCommand checks the member part of a command, which has no dot
// (cxbus 1: full names of commands have exactly one).
func checkCommand(member string) error {
	if strings.Contains(member, ".") {
		return badName(member, "a command is Namespace.member with exactly one dot")
	}
	return checkEvent(member)
}

// checkFull checks a full name, "Namespace.member".
func checkFull(name string, member func(string) error) error {
	ns, m, ok := splitName(name)
	if !ok {
		return badName(name, "a full name is Namespace.member")
	}
	if err := checkNamespace(ns); err != nil {
		return badName(name, err.(*Error).Hint)
	}
	if err := member(m); err != nil {
		return badName(name, err.(*Error).Hint)
	}
	return nil
}

// A pattern is a parsed subscription name. A leading star stands for exactly
// one segment, a final star for one or more; a star alone for everything.
type pattern struct {
	parts []string // without a final star
	lead  bool     // parts[0] is "*"
	tail  bool     // ends in "*"
}

// wild reports whether the name needs parsePattern.
func wild(name string) bool { return strings.Contains(name, "*") }

func parsePattern(name string) (pattern, error) {
	if len(name) > maxName {
		return pattern{}, badName(name, "longer than 256 bytes")
	}
	if name == "*" {
		return pattern{tail: true}, nil
	}
	var p pattern
	p.parts = strings.Split(name, ".")
	last := len(p.parts) - 1
	if p.parts[last] == "*" {
		p.tail = true
		p.parts = p.parts[:last]
	}
	for i, part := range p.parts {
		if i == 0 && part == "*" {
			p.lead = true
			continue
		}
		if part == "*" {
			return pattern{}, badName(name, `"*" may be the first or the last part, not one between`)
		}
		if why := checkSegment(part); why != "" {
			return pattern{}, badName(name, why)
		}
	}
	return p, nil
}

// matches reports whether a full event name fits.
func (p pattern) matches(name string) bool {
	for i, part := range p.parts {
		seg, rest, more := strings.Cut(name, ".")
		if (i > 0 || !p.lead) && seg != part {
			return false
		}
		if i == len(p.parts)-1 {
			return more == p.tail
		}
		if !more {
			return false
		}
		name = rest
	}
	return p.tail
}
