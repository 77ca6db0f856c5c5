package cxbus_test

import (
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExamples: every package that others can import has an Example with an output, which go test runs. The modules beside
// the root are looked at too.
func TestExamples(t *testing.T) {
	public, shown := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && strings.HasPrefix(name, ".") || name == "testdata" || name == "internal" || name == "bin" || file == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		if !strings.HasSuffix(file, "_test.go") {
			public[dir] = public[dir] || f.Name.Name != "main"
			return nil
		}
		for _, e := range doc.Examples(f) {
			shown[dir] = shown[dir] || e.Output != ""
		}
		return nil
	})
	require.NoError(t, err)
	require.True(t, public["bus"] && public["plugins/webchatservice/chat"] && public["bus/oteltap"])
	require.NotContains(t, public, "plugins/webchatservice/chatsim/internal/gmsclient")
	for dir, is := range public {
		if is {
			assert.True(t, shown[dir], "%s has no Example with an Output comment", dir)
		}
	}
}
