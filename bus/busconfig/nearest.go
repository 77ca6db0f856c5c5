package busconfig

import (
	"slices"
	"strings"
)

// nearest returns the candidate that a person most likely meant by name.
func nearest(name string, candidates []string) (string, bool) {
	folded := strings.ToLower(name)
	best, bestAt := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if d := distance(folded, strings.ToLower(c)); d < bestAt {
			best, bestAt = c, d
		}
	}
	return best, best != ""
}

// distance counts the edits between a and b: a letter more, less or changed,
// or two neighbours swapped.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // no name is that long, and the work grows with the product
	}
	x, y := []rune(a), []rune(b)
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		next := make([]int, len(y)+1)
		next[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}

// suggest completes e for an unknown option called name in the section at
// path: the nearest of the options there, else one of the same name elsewhere.
func suggest(path, name string, siblings, all []string) string {
	if n, ok := nearest(name, siblings); ok {
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
