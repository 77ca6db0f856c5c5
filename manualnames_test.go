package cxbus_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestManualNames: what the manuals name of a package is there, and so are the files that they lead to.
func TestManualNames(t *testing.T) {
	names := map[string]map[string]bool{}
	for dir := range rooms(t) {
		names[path.Base(dir)] = exported(t, dir)
	}
	require.True(t, names["bus"]["Bus.Close"] && names["chat"]["Error.Retryable"] && names["chat"]["CodeNetwork"])
	require.False(t, names["bus"]["Tail"])
	var alternatives []string
	for name := range names {
		if name != "config" { // a word like others
			alternatives = append(alternatives, name)
		}
	}
	named := regexp.MustCompile(`\b(` + strings.Join(alternatives, "|") + `)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)
	link := regexp.MustCompile(`\]\(([^)#\s"]+)(?:#[^)]*)?\)`)
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	found := 0
	for _, file := range append(files, "README.md", "CONTRIBUTING.md") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			found++
			name, _, _ := strings.Cut(m[2], ".")
			// Of a variable the type is not known here, so that its methods are not.
			member := names[m[1]][m[2]] || strings.Contains(m[2], ".") && names[m[1]][name] && !names[m[1]][name+"."]
			assert.True(t, member, "%s: there is no %s", file, m[0])
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if !strings.Contains(m[1], ":") && strings.ContainsAny(m[1], "./") {
				_, err := os.Stat(filepath.Join(filepath.Dir(file), m[1]))
				assert.NoError(t, err, file)
			}
		}
	}
	assert.Greater(t, found, 100)
}

// exported returns the names that a package exports, and those of fields and methods as Type.Name. A name with a dot behind it is
// that of a type, whose members are all there.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	fset := token.NewFileSet()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
	require.NoError(t, err)
	var parsed []*ast.File
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
			require.NoError(t, err)
			parsed = append(parsed, f)
		}
	}
	p, err := doc.NewFromFiles(fset, parsed, dir)
	require.NoError(t, err)
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, n := range v.Names {
				names[n] = true
			}
		}
	}
	funcs := func(of string, list []*doc.Func) {
		for _, f := range list {
			names[of+f.Name] = true
		}
	}
	values(append(p.Consts, p.Vars...))
	funcs("", p.Funcs)
	for _, typ := range p.Types {
		names[typ.Name], names[typ.Name+"."] = true, true
		values(append(typ.Consts, typ.Vars...))
		funcs("", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
		for _, spec := range typ.Decl.Specs {
			ast.Inspect(spec.(*ast.TypeSpec).Type, func(n ast.Node) bool {
				if f, ok := n.(*ast.Field); ok {
					for _, id := range f.Names {
						names[typ.Name+"."+id.Name] = true
					}
				}
				return true
			})
		}
	}
	return names
}
