package eventbus

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// EventName returns the part of the event's full name that stands for a topic:
// the topic t of a client is the event client.Namespace() + "." + EventName(t).
//
// Most topics are their own event name. What a name cannot have is written
// byte by byte as a percent sign and two upper-case hexadecimal digits, as in
// URLs: white space, control and other unprintable characters, invalid UTF-8,
// "*", "%" itself, and a dot that begins or ends the topic or follows another
// dot. So is the first letter of topics that the bus uses itself: "ready" and
// those beginning with "data.". The empty topic is "%". [TopicOf] is the way back.
//
// A name longer than 256 bytes is refused by the bus when it is used.
func EventName(topic string) string {
	if plain(topic) {
		return topic
	}
	if topic == "" {
		return "%"
	}
	var s strings.Builder
	for i := 0; i < len(topic); {
		r, n := utf8.DecodeRuneInString(topic[i:])
		if special(topic, i, r) {
			for _, c := range []byte(topic[i : i+n]) {
				const hex = "0123456789ABCDEF"
				s.Write([]byte{'%', hex[c>>4], hex[c&15]})
			}
		} else {
			s.WriteString(topic[i : i+n])
		}
		i += n
	}
	return s.String()
}

// TopicOf returns the topic that a name made by [EventName] stands for. It reports
// false for a name that EventName never makes.
func TopicOf(name string) (string, bool) {
	if name == "%" {
		return "", true
	}
	var s strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			s.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		hi, lo := strings.IndexByte("0123456789ABCDEF", name[i+1]), strings.IndexByte("0123456789ABCDEF", name[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		s.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	topic := s.String()
	return topic, EventName(topic) == name
}

// plain is a quick test for topics without anything special.
func plain(topic string) bool {
	for i := range len(topic) {
		switch c := topic[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ':', c == '-', c == '_', c == '/':
		default:
			return false
		}
	}
	return topic != "" && topic != "ready"
}

// special reports whether the rune at i must be escaped.
func special(topic string, i int, r rune) bool {
	switch {
	case r == utf8.RuneError, r == '*', r == '%', unicode.IsSpace(r), !unicode.IsPrint(r):
		return true
	case r == '.':
		return i == 0 || i == len(topic)-1 || topic[i-1] == '.'
	}
	return i == 0 && (topic == "ready" || strings.HasPrefix(topic, "data."))
}
