package cxbus_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryModuleIsTested holds that the Makefile names each module of the
// repository, so that a new one is linted and tested from its first day.
func TestEveryModuleIsTested(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^[A-Z_]*MODULES := (.*)$`).FindAllSubmatch(makefile, -1) {
		named = append(named, strings.Fields(string(m[1]))...)
	}
	var found []string
	err = filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.Name() == "go.mod" {
			found = append(found, path.Dir(filepath.ToSlash(file)))
		}
		return nil
	})
	require.NoError(t, err)
	assert.ElementsMatch(t, found, named, "modules of the repository, and those that the Makefile names")
}
