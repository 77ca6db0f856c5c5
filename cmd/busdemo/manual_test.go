package main

import (
	"os"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestManual: the README and the manual name each command, and the manual each flag.
func TestManual(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	manual, err := os.ReadFile("../../docs/busdemo.md")
	require.NoError(t, err)
	seen := 0
	for _, c := range (&program{}).root().Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		seen++
		assert.Contains(t, string(readme), "`"+c.CommandPath()+"`", "README.md lacks it")
		assert.Contains(t, string(manual), "`"+c.CommandPath()+"`", "docs/busdemo.md lacks it")
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			assert.Contains(t, string(manual), "--"+f.Name, "docs/busdemo.md lacks a flag of %s", c.Name())
		})
	}
	assert.Equal(t, 8, seen)
}
