package busconfig

import (
	"slices"
	"strings"

	"github.com/cxbus/cxbus/bus"
)

// suggest completes e for an unknown option called name in the section at
// path: the nearest of the options there, else one of the same name elsewhere.
func suggest(path, name string, siblings, all []string) string {
	if n, ok := bus.Nearest(name, siblings); ok {
		return "did you mean " + join(path, n) + "?"
	}
	for _, p := range all {
		if last := p[strings.LastIndexByte(p, '.')+1:]; strings.EqualFold(last, name) {
			return "did you mean " + p + "?"
		}
	}
	if len(siblings) > 0 && len(siblings) <= 8 {
		s := slices.Clone(siblings)
		slices.Sort(s)
		return "known here are " + strings.Join(s, ", ")
	}
	return ""
}
