// Package cxbus_test holds the rules of the whole project: who may import
// whom, and what no file may do.
package cxbus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/cxbus/cxbus"

// pkg is what go list says of one package; paths of the project's own
// packages are relative to the module.
type pkg struct {
	path string
	name string
	own  []string // own packages it depends on, also indirectly
	ext  []string // packages outside of the project and the standard library
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Name,Standard,Deps", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	type listed struct {
		ImportPath, Name string
		Standard         bool
		Deps             []string
	}
	var all []listed
	std := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var l listed
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, l)
		std[l.ImportPath] = l.Standard
	}
	var pkgs []pkg
	for _, l := range all {
		rel, ok := relative(l.ImportPath)
		if !ok {
			continue
		}
		p := pkg{path: rel, name: l.Name}
		for _, d := range l.Deps {
			if rel, ok := relative(d); ok {
				p.own = append(p.own, rel)
			} else if !std[d] && d != "C" {
				p.ext = append(p.ext, d)
			}
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func relative(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// under reports whether p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

const service = "plugins/webchatservice"

// notDrivers are the packages below webchatservice that are not a driver.
var notDrivers = []string{service, service + "/chat", service + "/chattest", service + "/chatsim", service + "/bayeux", service + "/gms",
	service + "/wirejson", service + "/wires", service + "/boltstore"}

// shared are the packages that a driver may depend on.
var shared = []string{service + "/chat", service + "/bayeux", service + "/gms", service + "/wirejson"}

// exampleDriver is the driver that the manual shows; it keeps the rules of one.
const exampleDriver = service + "/chattest/pigeon"

func isDriver(p string) bool {
	return p == exampleDriver || under(p, service) && !slices.ContainsFunc(notDrivers, func(n string) bool {
		return p == n || n != service && under(p, n)
	})
}

// rules say which own packages a package may depend on. Each holds for the
// packages that match; a package may match several.
var rules = []struct {
	why   string
	match func(p string) bool
	allow func(dep string) bool
}{
	{
		"bus is the floor: it stands on the standard library alone",
		func(p string) bool { return p == "bus" },
		func(string) bool { return false },
	},
	{
		"busconfig serves programs without a bus too: of the bus it has the search for names alone",
		func(p string) bool { return p == "bus/busconfig" },
		func(dep string) bool { return dep == "bus" },
	},
	{
		"the bus knows no plugin",
		func(p string) bool { return under(p, "bus") },
		func(dep string) bool { return under(dep, "bus") },
	},
	{
		"plugins know no program",
		func(p string) bool { return under(p, "plugins") },
		func(dep string) bool { return under(dep, "bus") || under(dep, "plugins") },
	},
	{
		"the service knows no wire: drivers are given to it",
		func(p string) bool { return p == service },
		func(dep string) bool {
			return under(dep, "bus") || dep == service+"/chat"
		},
	},
	{
		"reading JSON knows what a secret is, and no wire",
		func(p string) bool { return p == service+"/wirejson" },
		func(dep string) bool { return dep == service+"/chat" },
	},
	{
		"the model of a chat is shared by all and leans on none",
		func(p string) bool { return p == service+"/chat" },
		func(string) bool { return false },
	},
	{
		"a driver speaks its wire and knows neither the bus, nor the service, nor another driver",
		isDriver,
		func(dep string) bool { return slices.Contains(shared, dep) },
	},
	{
		"a Bayeux client knows no chats and no GMS: of chat it has the errors and the secrets",
		func(p string) bool { return p == service+"/bayeux" },
		func(dep string) bool { return dep == service+"/chat" || dep == service+"/wirejson" },
	},
	{
		"what the drivers for GMS share knows no driver and no wire",
		func(p string) bool { return p == service+"/gms" },
		func(dep string) bool {
			return dep == service+"/chat" || dep == service+"/wirejson"
		},
	},
	{
		"the suite that drivers pass favours none",
		func(p string) bool { return p == service+"/chattest" },
		func(dep string) bool { return dep == service+"/chat" || under(dep, service+"/chatsim") },
	},
	{
		"a simulator that shared code with a driver would share its mistakes: it may use what wires share",
		func(p string) bool { return under(p, service+"/chatsim") },
		func(dep string) bool { return slices.Contains(shared, dep) || under(dep, service+"/chatsim") },
	},
	{
		"the heart of the simulators knows no wire: faces are given to it",
		func(p string) bool { return p == service+"/chatsim" },
		func(string) bool { return false },
	},
	{
		"the set of drivers is data for the service, not a part of it",
		func(p string) bool { return p == service+"/wires" },
		func(dep string) bool { return slices.Contains(shared, dep) || isDriver(dep) },
	},
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, r := range rules {
			if !r.match(p.path) {
				continue
			}
			for _, dep := range p.own {
				assert.True(t, r.allow(dep), "%s depends on %s: %s", p.path, dep, r.why)
			}
		}
		if p.path == "bus" || p.path == service+"/chat" {
			assert.Empty(t, p.ext, "%s stands on the standard library alone", p.path)
		}
		if !under(p.path, "cmd") && p.path != service+"/wires" {
			drivers := slices.DeleteFunc(slices.Clone(p.own), func(d string) bool { return !isDriver(d) })
			assert.Empty(t, drivers, "%s depends on drivers: only wires and programs know them", p.path)
		}
	}
}

// What wires share knows no chats: of package chat it has errors and secrets alone.
func TestSharedKnowsNoChats(t *testing.T) {
	allowed := map[string]bool{"Error": true, "Secret": true, "Redacted": true, "NotSent": true, "Unknown": true, "Rejected": true}
	for _, dir := range []string{service + "/bayeux", service + "/wirejson"} {
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, _ := sel.X.(*ast.Ident); x != nil && x.Name == "chat" {
						name := sel.Sel.Name
						assert.True(t, allowed[name] || strings.HasPrefix(name, "Code"), "%s knows chat.%s", file, name)
					}
				}
				return true
			})
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, p := range listPackages(t) {
		assert.NotContains(t, []string{"util", "utils", "common", "types", "models", "errors", "helpers"}, p.name,
			"%s: a package is named for its one job", p.path)
	}
}

// TestConduct looks at every Go file of every module of the project.
func TestConduct(t *testing.T) {
	dirs := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		dir := filepath.Dir(file)
		if dirs[dir] == nil {
			dirs[dir] = map[string]*ast.File{}
		}
		dirs[dir][file] = f
		return nil
	})
	require.NoError(t, err)
	for _, files := range dirs {
		bubbles := bubblesOf(files)
		for file, f := range files {
			for _, msg := range misconduct(file, f, bubbles) {
				assert.Fail(t, msg)
			}
		}
	}
}

// wallClock has the places where the wall clock decides something, or where a time loses its monotonic reading, and why that is
// well. A wall clock may be set at any moment, so time-outs must not depend on it.
var wallClock = map[string]string{
	"plugins/webchatservice/boltstore/boltstore.go": "stamps of records, which the next process reads",
	"plugins/webchatservice/gms/answer.go":          "times of lines, for display",
	"plugins/webchatservice/gms/attempt.go":         "a date of Retry-After, held against the server's own clock",
	"plugins/webchatservice/message.go":             "times in payloads and records",
	"plugins/webchatservice/record.go":              "times in records, which the next process reads",
	"cmd/busdemo/text.go":                           "times of lines, for display",
	"cmd/busdemo/trace.go":                          "times of events, for display",
}

// TestWallClock holds that no other place looks at the wall clock. What is only for tests and measurements does not count.
func TestWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, root := range []string{"bus", "plugins", "cmd"} {
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bench" || d.Name() == "chatsim" || d.Name() == "chattest"):
				return fs.SkipDir
			case d.IsDir(), filepath.Ext(file) != ".go", strings.HasSuffix(file, "_test.go"):
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				return err
			}
			for _, call := range wallCalls(f) {
				file := filepath.ToSlash(file)
				used[file] = true
				assert.Contains(t, wallClock, file, "it calls %s", call)
			}
			return nil
		})
		require.NoError(t, err)
	}
	for file := range wallClock {
		assert.True(t, used[file], "%s does not look at the wall clock any more", file)
	}
}

// wallCalls returns the calls of a file that make a time without a monotonic reading, or a number of one.
func wallCalls(f *ast.File) (calls []string) {
	functions := map[string][]string{
		"time": {"Unix", "UnixMilli", "UnixMicro", "Date", "Parse", "ParseInLocation"}, "http": {"ParseTime"},
	}
	methods := []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "AddDate"}
	packages := map[string]bool{}
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		packages[path.Base(p)] = true
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch x, _ := sel.X.(*ast.Ident); {
		case x != nil && packages[x.Name]:
			if slices.Contains(functions[x.Name], sel.Sel.Name) {
				calls = append(calls, x.Name+"."+sel.Sel.Name)
			}
		case slices.Contains(methods, sel.Sel.Name):
			calls = append(calls, sel.Sel.Name)
		}
		return true
	})
	return calls
}

// bubblesOf returns the functions of the files that open a synctest bubble, also by calling one of the others.
func bubblesOf(files map[string]*ast.File) map[string]bool {
	found := map[string]bool{}
	for before := -1; before < len(found); {
		before = len(found)
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Body != nil && opensBubble(fn.Body, found) {
					found[fn.Name.Name] = true
				}
			}
		}
	}
	return found
}

// opensBubble reports whether a body calls synctest.Test or one of the functions.
func opensBubble(body *ast.BlockStmt, functions map[string]bool) (opens bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, _ := n.X.(*ast.Ident)
			opens = opens || x != nil && x.Name == "synctest" && n.Sel.Name == "Test"
		case *ast.CallExpr:
			id, _ := n.Fun.(*ast.Ident)
			opens = opens || id != nil && functions[id.Name]
		}
		return true
	})
	return opens
}

// misconduct returns one line for each thing that a file of this project does
// not do.
func misconduct(file string, f *ast.File, bubbles map[string]bool) []string {
	imports := map[string]bool{}
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		imports[p] = true
	}
	fake := imports["testing/synctest"]
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && bubbles[id.Name] {
				fake = true
			}
		}
		return true
	})
	var msgs []string
	test := strings.HasSuffix(file, "_test.go")
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !test {
			msgs = append(msgs, file+": init registers something behind the reader's back; main builds what it runs")
		}
	}
	if !test {
		return msgs
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, _ := sel.X.(*ast.Ident)
		switch name := sel.Sel.Name; {
		case x != nil && x.Name == "time" && name == "Sleep" && !fake:
			msgs = append(msgs, file+": time.Sleep outside of a synctest bubble waits for luck")
		case x != nil && len(x.Name) <= 2 && (name == "Skip" || name == "Skipf" || name == "SkipNow"):
			msgs = append(msgs, file+": a skipped test proves nothing")
		}
		return true
	})
	return msgs
}

func TestMisconduct(t *testing.T) {
	tests := []struct {
		name, file, src string
		want            int
	}{
		{"sleep", "a_test.go", `package a; import "time"; func f() { time.Sleep(1) }`, 1},
		{"sleep in a bubble", "a_test.go", `package a; import ("time"; "testing/synctest"); func f() { time.Sleep(1); synctest.Wait() }`, 0},
		{"sleep in a helper's bubble", "a_test.go", `package a; import "time"; func f() { bubble(func() { time.Sleep(1) }) }`, 0},
		{"sleep in the program", "a.go", `package a; import "time"; func f() { time.Sleep(1) }`, 0},
		{"skip", "a_test.go", `package a; import "testing"; func f(t *testing.T) { t.Skip("later") }`, 1},
		{"init", "a.go", `package a; func init() {}`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), tt.file, tt.src, 0)
			require.NoError(t, err)
			assert.Len(t, misconduct(path.Join("dir", tt.file), f, map[string]bool{"bubble": true}), tt.want)
		})
	}
}
