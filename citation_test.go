package cxbus_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// references are the pages that comments cite, by the name that a citation
// begins with: `wire-gms A.4` is section A.4 of docs/wire/gms.md.
var references = map[string]string{
	"cxbus":              "docs/reference/cxbus.md",
	"webchatservice":     "docs/reference/webchatservice.md",
	"webchat-widget":     "docs/reference/webchat.md",
	"wire-gms":           "docs/wire/gms.md",
	"wire-genesys-cloud": "docs/wire/genesys-cloud.md",
	"wire-engage-v3":     "docs/wire/engage-v3.md",
}

// place is one part of a page that a citation can name: a section, or in the
// section named before it a row, a vector or a code.
const place = `(?:"?Uncertain"?(?: \d+)?|[Aa]ppendix [A-Z]|(?:row|vector|code) \d+|[A-H]\d?(?:\.\d+)*|\d+(?:\.\d+)*)\b`

var (
	citation = regexp.MustCompile(`(?:^|[^\w/.-])(cxbus|webchatservice|webchat-widget|wire-[a-z0-9-]+),? ` +
		`((?:part |section )?` + place + `(?:(?:, | and | to | or )(?:part )?` + place + `)*)`)
	placeOf = regexp.MustCompile(place)
	// mention is a page's name that can be nothing else.
	mention = regexp.MustCompile(`(?:^|[^\w/.-])(webchat-widget|wire-[a-z0-9-]+)\b`)
	heading = regexp.MustCompile(`^#+ (?:Part )?(Uncertain|Appendix [A-Z]|[A-H]\d?(?:\.\d+)*|\d+(?:\.\d+)*)(?:\.? |\.?$)`)
	item    = regexp.MustCompile(`^(\d+)\. `)
)

// page is what can be cited of one reference: its sections by number, and the
// points of their numbered lists as A.8.1.
type page map[string]string

func readPage(text string) page {
	p := page{}
	open := map[string]int{} // the sections that the current line is in, by the depth of their heading
	current := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			depth := len(line) - len(strings.TrimLeft(line, "#"))
			for id, d := range open {
				if d >= depth {
					delete(open, id)
				}
			}
			if m := heading.FindStringSubmatch(line); m != nil {
				current = m[1]
				open[current] = depth
				p[current] = ""
			}
		}
		for id := range open {
			p[id] += line
		}
		if m := item.FindStringSubmatch(line); m != nil && current != "" {
			p[current+"."+m[1]] += line
		}
	}
	return p
}

// wrongCitations returns what does not resolve among the citations of a text.
// With strict, a page that is named without a section is wrong, too.
func wrongCitations(text string, pages map[string]page, strict bool) []string {
	var wrong []string
	text = strings.Join(strings.Fields(text), " ")
	found := citation.FindAllStringSubmatch(text, -1)
	for _, m := range found {
		name, section := m[1], ""
		p, ok := pages[name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: no such page", name))
			continue
		}
		for _, ref := range placeOf.FindAllString(m[2], -1) {
			kind, number, _ := strings.Cut(ref, " ")
			switch kind {
			case "row":
				ok = strings.Contains(p[section], "\n| "+number+" |")
			case "vector":
				_, body, _ := strings.Cut(p[section], "vectors")
				ok = strings.Contains(body, "\n"+number+". ")
			case "code":
				ok = regexp.MustCompile(`\b` + number + `\b`).MatchString(p[section])
			case "appendix", "Appendix":
				section = "Appendix " + number
				_, ok = p[section]
			default:
				section = strings.ReplaceAll(strings.ReplaceAll(ref, `"`, ""), " ", ".")
				_, ok = p[section]
			}
			if !ok {
				wrong = append(wrong, fmt.Sprintf("%s %s: there is no %s", name, m[2], ref))
			}
		}
	}
	if n := len(mention.FindAllString(text, -1)); strict && n > 0 {
		for _, m := range found {
			if mention.MatchString(" " + m[1]) {
				n--
			}
		}
		if n > 0 {
			wrong = append(wrong, "names a page without a section: "+text)
		}
	}
	return wrong
}

func readReferences(t *testing.T) map[string]page {
	t.Helper()
	pages := map[string]page{}
	for name, file := range references {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pages[name] = readPage(string(text))
	}
	return pages
}

// TestCitations looks up each citation in the comments of all Go files and in
// the manuals.
func TestCitations(t *testing.T) {
	pages := readReferences(t)
	cited := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (file != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "bin") {
			return fs.SkipDir
		}
		check := func(where, text string, strict bool) {
			cited += len(citation.FindAllString(text, -1))
			for _, w := range wrongCitations(text, pages, strict) {
				assert.Fail(t, where+": "+w)
			}
		}
		switch filepath.Ext(file) {
		case ".go":
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, c := range f.Comments {
				check(fset.Position(c.Pos()).String(), c.Text(), true)
			}
		case ".md":
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for paragraph := range strings.SplitSeq(string(text), "\n\n") {
				check(file, paragraph, false)
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Greater(t, cited, 100, "citations found")
}

func TestWrongCitations(t *testing.T) {
	pages := readReferences(t)
	right := []string{
		"the answer (wire-gms A.3)",
		"operations (wire-gms A.1, A.2 and A.7.11 to A.7.14), wire-gms part C",
		"a long-lived chat (wire-gms\nC.2)",
		"inferred (wire-gms Uncertain 16, wire-gms \"Uncertain\")",
		"every operation (wire-gms A.8.1)",
		"a code (wire-gms A.6, code 204)",
		"a trap (cxbus 10, row 38), as tested (cxbus 10, vector 30)",
		"all texts of webchatservice, appendix A",
		"the window (webchat-widget 6.2), PureConnect (wire-genesys-cloud C1.2)",
		"the package webchatservice has sessions, in cxbus/bus 9 times",
	}
	for _, text := range right {
		assert.Empty(t, wrongCitations(text, pages, true), text)
	}
	wrong := []string{
		"no such section (wire-gms A.99)",
		"no such part (wire-gms K, wire-gms H)",
		"one right and one wrong (wire-gms A.1, A.99)",
		"the end of a range (wire-gms D.4 to D.77)",
		"no such point (wire-gms A.8.99, wire-gms Uncertain 99)",
		"no such code (wire-gms A.6, code 99999)",
		"no such row (cxbus 10, row 99)",
		"no such vector (cxbus 10, vector 99)",
		"no such appendix (webchatservice, appendix B)",
		"no such page (wire-nowhere 3.1)",
		"no section at all (wire-gms)",
	}
	for _, text := range wrong {
		assert.NotEmpty(t, wrongCitations(text, pages, true), text)
	}
}

// TestLinks follows each link between the Markdown files.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".md" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(m[1])))
			assert.NoError(t, err, "%s links to %s", file, m[1])
		}
		return nil
	})
	require.NoError(t, err)
}
