package webchatservice_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the manual")

// promise is one thing that the vendor's service does and this one does not (webchatservice 6).
type promise struct {
	section      string
	rows         []int // of the table in that section, from 1
	vendor, ours string
	check        func(t *testing.T)
}

func promises() []promise {
	return slices.Concat(limitPromises(), settlingPromises(), eventPromises(), robustnessPromises())
}

// vendorRows is how many rows the tables of webchatservice 6.1 to 6.4 have.
var vendorRows = map[string]int{"6.1": 17, "6.2": 8, "6.3": 13, "6.4": 11}

// notOurs are the rows that a service cannot mend.
var notOurs = map[string]string{
	"6.1 12": "a back end that is given up",
}

func TestPromisesCoverTheReference(t *testing.T) {
	kept := map[string]bool{}
	for _, p := range promises() {
		for _, row := range p.rows {
			assert.LessOrEqual(t, row, vendorRows[p.section])
			kept[fmt.Sprintf("%s %d", p.section, row)] = true
		}
	}
	for section, n := range vendorRows {
		for row := 1; row <= n; row++ {
			key := fmt.Sprintf("%s %d", section, row)
			assert.Equal(t, notOurs[key] == "", kept[key], "row %s", key)
		}
	}
}

func TestPromises(t *testing.T) {
	for _, p := range promises() {
		t.Run(p.section+" "+p.vendor, func(t *testing.T) { synctest.Test(t, p.check) })
	}
}

// TestManualTellsThePromises keeps the table of the manual; go test -run Manual -update rewrites it.
func TestManualTellsThePromises(t *testing.T) {
	var b strings.Builder
	b.WriteString("| section, row | the vendor's service | this service |\n| --- | --- | --- |\n")
	list := promises()
	slices.SortStableFunc(list, func(a, b promise) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.rows[0], b.rows[0]))
	})
	for _, p := range list {
		fmt.Fprintf(&b, "| %s, %s | %s | %s |\n", p.section, strings.Trim(strings.ReplaceAll(fmt.Sprint(p.rows), " ", ", "), "[]"), p.vendor, p.ours)
	}
	inManual(t, "promises", b.String())
}

// inManual compares a generated part of the manual, or rewrites it.
func inManual(t *testing.T, name, want string) {
	t.Helper()
	const file = "../../docs/webchatservice.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	begin, stop := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "the manual has no part %s", name)
	got, after, ok := strings.Cut(rest, stop)
	require.True(t, ok, "part %s of the manual does not end", name)
	if *update && got != want {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+want+stop+after), 0o600))
		return
	}
	assert.Equal(t, want, got, "run go test ./plugins/webchatservice -run Manual -update")
}
