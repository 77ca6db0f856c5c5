package cxbus_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadme: the Go code of the manuals for beginners is that of the examples, which are compiled and
// run. A whole program differs from its example in the names of package and function alone.
func TestReadme(t *testing.T) {
	var examples []string
	for _, file := range []string{"example_plugin_test.go", "example_chat_test.go", "example_configure_test.go", "thanks_test.go"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		src := strings.NewReplacer("package cxbus_test", "package main", "func Example() {", "func main() {").Replace(string(b))
		src, _, _ = strings.Cut(src, "\t// Output:")
		examples = append(examples, flat(src))
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```")
	for _, file := range []string{"README.md", "docs/plugins.md"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		blocks := block.FindAllStringSubmatch(string(b), -1)
		require.NotEmpty(t, blocks, file)
		for _, m := range blocks {
			snippet := flat(strings.TrimSuffix(strings.TrimSpace(m[1]), "\n}"))
			found := false
			for _, src := range examples {
				found = found || strings.Contains(src, snippet)
			}
			assert.True(t, found, "%s: no example has\n%s", file, m[1])
		}
	}
}

// flat takes out of code what does not matter for comparing: indents and empty lines.
func flat(code string) string {
	var lines []string
	for _, l := range strings.Split(code, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// TestShortWay: the way in stays short. Counted are lines of code, without imports and checks of errors.
func TestShortWay(t *testing.T) {
	checks := regexp.MustCompile(`(?m)^\t*if err != nil \{\n.*\n\t*\}\n`)
	inline := regexp.MustCompile(`if (.*); err != nil \{\n.*\n\t*\}\n`)
	for file, most := range map[string]int{"example_plugin_test.go": 45, "example_chat_test.go": 26} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		_, code, found := strings.Cut(string(b), "\n)\n")
		require.True(t, found)
		code, _, found = strings.Cut(code, "\t// Output:")
		require.True(t, found)
		code = flat(inline.ReplaceAllString(checks.ReplaceAllString(code, ""), "$1\n"))
		assert.LessOrEqual(t, strings.Count(code, "\n")+1, most, "%s:\n%s", file, code)
	}
	b, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, talk, found := strings.Cut(string(b), "\n## A chat\n")
	require.True(t, found)
	_, talk, _ = strings.Cut(talk, "```go\n")
	talk, _, _ = strings.Cut(talk, "```")
	talk = flat(inline.ReplaceAllString(checks.ReplaceAllString(talk, ""), "$1\n"))
	assert.LessOrEqual(t, strings.Count(talk, "\n")+1, 15, talk)
}
