package bus

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Nearest returns the candidate that a person most likely meant by name, for
// a message like "did you mean demo.start?". It reports false when no candidate
// is near: upper and lower case make no difference, and one letter in three,
// rounded up, may be missing, added, changed, or swapped with its neighbour. A name of
// three letters or more is also near to what begins with it. Of several equally
// near ones it returns the first.
func Nearest(name string, candidates []string) (string, bool) {
	lower := strings.ToLower(name)
	best, bestEdits := "", 1+(len(name)+2)/3
	for _, c := range candidates {
		folded := strings.ToLower(c)
		d := edits(lower, folded, bestEdits)
		if len(name) >= 3 && strings.HasPrefix(folded, lower) {
			d = min(d, 1)
		}
		if d < bestEdits {
			best, bestEdits = c, d
		}
	}
	return best, best != ""
}

// edits counts the edits between a and b: a letter more, less or changed, or
// two neighbours swapped. It returns limit when there are at least so many.
func edits(a, b string, limit int) int {
	if d := utf8.RuneCountInString(a) - utf8.RuneCountInString(b); d >= limit || -d >= limit {
		return limit
	}
	if len(a) > maxName || len(b) > maxName {
		return limit // no name is that long, and the work grows with the product
	}
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	var before []int // the row above row
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
	return min(row[len(y)], limit)
}

// didYouMean is a hint for an error, or empty. It is the same whatever the order of the candidates.
func didYouMean(name string, candidates []string) string {
	if n, ok := Nearest(name, slices.Sorted(slices.Values(candidates))); ok {
		return "did you mean " + n + "?"
	}
	return ""
}
