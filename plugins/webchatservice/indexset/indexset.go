// Package indexset has a set of line numbers that stays small when few numbers are missing.
package indexset

import "slices"

// Set is a set of indices. It is kept as ranges in rising order, so a transcript without gaps is one range, however
// long it is. The zero Set is empty. A Set is not safe for concurrent use.
type Set struct {
	ranges []indices
}

// indices are all from first to last, both included.
type indices struct{ first, last int64 }

// Add puts i into the set and reports whether it was not in it before. It is fast for indices that rise: the search
// begins at the highest range.
func (s *Set) Add(i int64) bool {
	at := s.after(i)
	if at > 0 && s.ranges[at-1].last >= i {
		return false
	}
	// The differences below cannot overflow: last < i, and i < first.
	joinsLeft := at > 0 && s.ranges[at-1].last == i-1
	joinsRight := at < len(s.ranges) && s.ranges[at].first == i+1
	switch {
	case joinsLeft && joinsRight:
		s.ranges[at-1].last = s.ranges[at].last
		s.ranges = slices.Delete(s.ranges, at, at+1)
	case joinsLeft:
		s.ranges[at-1].last = i
	case joinsRight:
		s.ranges[at].first = i
	default:
		s.ranges = slices.Insert(s.ranges, at, indices{i, i})
	}
	return true
}

// Has reports whether i is in the set.
func (s *Set) Has(i int64) bool {
	at := s.after(i)
	return at > 0 && i <= s.ranges[at-1].last
}

// Ranges is how many ranges the set consists of: one more than it has gaps.
func (s *Set) Ranges() int { return len(s.ranges) }

// after returns the number of the first range that begins after i.
func (s *Set) after(i int64) int {
	at := len(s.ranges)
	for at > 0 && s.ranges[at-1].first > i {
		at--
	}
	return at
}
