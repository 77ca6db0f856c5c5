package busconfig

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// What people write who come from JavaScript, or from a page's source.
var (
	slashes    = regexp.MustCompile(`^\s*(?://|/\*)|[\s,{\[](?://|/\*)\s`)
	noBlankKey = regexp.MustCompile(`^\s*(?:- )?["']?([A-Za-z_$][\w$.-]*)["']?:[^\s/:]`)
	javaScript = regexp.MustCompile(`(?m)^\s*(?:(?:var|let|const)\s+\S+\s*=|window\.\S|\S*_genesys[\w.]*\s*=|[}\])]*;\s*$)|\bfunction\s*\(|=>`)
	tabs       = regexp.MustCompile(`^ *\t`)
)

const (
	sayComment = "a comment begins with #, not with //"
	sayNoBlank = "put a blank after the colon"
	sayScript  = "is JavaScript; keep the object alone, without assignments, functions and semicolons, below the name of its section"
)

// mistake looks for a well-known mistake on the line where a parser gave up, and
// beside it. It returns what to say of it, and the line, or "".
func mistake(data []byte, line int) (say string, at int) {
	lines := strings.Split(string(data), "\n")
	for _, at := range []int{line, line - 1, line + 1} {
		if at < 1 || at > len(lines) {
			continue
		}
		switch l := lines[at-1]; {
		case slashes.MatchString(l):
			return sayComment, at
		case tabs.MatchString(l):
			return "is indented with a tab; YAML wants blanks", at
		case noBlankKey.MatchString(l):
			return sayNoBlank, at
		}
	}
	if loc := javaScript.FindIndex(data); loc != nil {
		at, _ := position(data, loc[0]+len(data[loc[0]:])-len(bytes.TrimLeft(data[loc[0]:], " \t\r\n")))
		return sayScript, at
	}
	return "", 0
}

// noBlank is what to add to a complaint about a text where a group is wanted.
func noBlank(n *node) string {
	if n.kind == text && noBlankKey.MatchString(n.text) {
		return "; " + sayNoBlank
	}
	return ""
}

// yamlTexts are the complaints of the YAML parser, by what they hold, and what
// is said in their place. The parser's own words are about its tokens, and some
// repeat a piece of the file.
var yamlTexts = []struct{ theirs, ours string }{
	{"anchor", "a text that begins with * or & wants quotes"},
	{"could not find expected ':'", "a name without a colon"},
	{"mapping values are not allowed", "there is a colon too many, or the indentation is wrong; a text with a colon wants quotes"},
	{"did not find expected ',' or '}'", "a comma or a } is missing"},
	{"did not find expected ',' or ']'", "a comma or a ] is missing"},
	{"did not find expected key", "the indentation is wrong, or a quote ends too early"},
	{"did not find expected '-' indicator", "the indentation is wrong, or a list ends here and goes on"},
	{"found unexpected end of stream", "a quote is not closed"},
	{"found unexpected document indicator", "a quote is not closed"},
	{"found character that cannot start any token", "a text that begins with @, ` or % wants quotes"},
	{"found unknown escape character", "an unknown escape; in double quotes a backslash is written \\\\"},
	{"found invalid Unicode character escape", "an unknown escape; in double quotes a backslash is written \\\\"},
	{"did not find expected hexdecimal number", "an unknown escape; in double quotes a backslash is written \\\\"},
	{"control characters are not allowed", "holds a control character"},
	{"did not find expected node content", "a value is missing"},
	{"block sequence entries are not allowed", "a list begins where none may; put it on a line of its own"},
	{"block mapping", "the indentation is wrong"},
	{"a comment or a line break", "there is something behind | or >"},
	{"did not find expected comment or line break", "there is something behind | or >"},
	{"exceeded max depth", "nested too deeply"},
	{"directive", "a line that begins with % wants quotes"},
	{"tag", "tags are not supported (a text that begins with ! wants quotes)"},
	{"expected '>'", "tags are not supported (a text that begins with ! wants quotes)"},
}

var (
	yamlLine   = regexp.MustCompile(`line (\d+)`)
	yamlAnchor = regexp.MustCompile(`(?s)anchor '(.*)'`)
)

// yamlProblem puts an error of the YAML parser in our words.
func (b *builder) yamlProblem(err error, data []byte) error {
	line := yamlErrorLine(err.Error(), data)
	if say, at := mistake(data, line); say != "" {
		return b.malformed(at, 0, say)
	}
	for _, t := range yamlTexts {
		if strings.Contains(err.Error(), t.theirs) {
			return b.malformed(line, 0, t.ours)
		}
	}
	return b.malformed(line, 0, "is not YAML")
}

// yamlErrorLine is the line of an error of the YAML parser, or 0. The parser
// leaves out the first line, and never tells where a name or a character is.
func yamlErrorLine(msg string, data []byte) int {
	at := -1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line
	} else if m := yamlAnchor.FindStringSubmatch(msg); m != nil {
		at = bytes.Index(data, []byte("*"+m[1]))
	} else if strings.Contains(msg, "control characters") {
		at = bytes.IndexFunc(data, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f })
	} else if !strings.Contains(msg, "max depth") {
		return 1
	}
	if at < 0 {
		return 0
	}
	line, _ := position(data, at)
	return line
}
