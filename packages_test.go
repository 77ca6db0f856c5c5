package cxbus_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A room is a package that others can import, of any module of the project.
type room struct {
	files []*ast.File
	tests []*ast.File // also of its external test package
}

// rooms returns the public packages by their directory.
func rooms(t *testing.T) map[string]*room {
	t.Helper()
	all := map[string]*room{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "internal", "bin", "dist"}, name) {
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
		if all[dir] == nil {
			all[dir] = &room{}
		}
		if r := all[dir]; strings.HasSuffix(file, "_test.go") {
			r.tests = append(r.tests, f)
		} else {
			r.files = append(r.files, f)
		}
		return nil
	})
	require.NoError(t, err)
	for dir, r := range all {
		if len(r.files) == 0 || r.files[0].Name.Name == "main" {
			delete(all, dir)
		}
	}
	for _, dir := range []string{"bus", "bus/oteltap", "plugins/webchatservice/chat"} {
		require.Contains(t, all, dir)
	}
	return all
}

// TestExamples: every public package has an Example with an output, which go test runs.
func TestExamples(t *testing.T) {
	for dir, r := range rooms(t) {
		shown := slices.ContainsFunc(doc.Examples(r.tests...), func(e *doc.Example) bool { return e.Output != "" })
		assert.True(t, shown, "%s has no Example with an Output comment", dir)
	}
}

// TestPackageDocs: the first sentence of a public package says its one job.
func TestPackageDocs(t *testing.T) {
	for dir, r := range rooms(t) {
		var text string
		for _, f := range r.files {
			text += f.Doc.Text()
		}
		first := new(doc.Package).Synopsis(text)
		assert.True(t, strings.HasPrefix(first, "Package "+r.files[0].Name.Name+" "), "%s: %q", dir, first)
		assert.NotContains(t, strings.Fields(first), "and", "%s: one job, one sentence", dir)
	}
}

// TestNamesOfBus: what everybody has to learn stays small.
func TestNamesOfBus(t *testing.T) {
	var names []string
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	for _, f := range rooms(t)["bus"].files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						add(s.Name)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							add(id)
						}
					}
				}
			}
		}
	}
	slices.Sort(names)
	assert.Greater(t, len(names), 50)
	assert.LessOrEqual(t, len(names), 80, "%v", names)
}
