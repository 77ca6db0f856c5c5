package gms

import "slices"

// indexSet is a set of indices. It is kept as ranges in rising order, so a transcript without gaps is one range, however
// long it is. The zero indexSet is empty. It is not safe for concurrent use.
type indexSet struct {
	ranges []indices
}

// indices are all from first to last, both included.
type indices struct{ first, last int64 }

// add puts i into the set and reports whether it was not in it before. It is fast for indices that rise: the search
// begins at the highest range.
func (s *indexSet) add(i int64) bool {
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

// has reports whether i is in the set.
func (s *indexSet) has(i int64) bool {
	at := s.after(i)
	return at > 0 && i <= s.ranges[at-1].last
}

// before returns the highest index of the set below i.
func (s *indexSet) before(i int64) (below int64, ok bool) {
	at := s.after(i)
	if at > 0 && s.ranges[at-1].first == i {
		at--
	}
	if at == 0 {
		return 0, false
	}
	return min(s.ranges[at-1].last, i-1), true
}

// cut takes the indices from one on and before another out of the set.
func (s *indexSet) cut(from, to int64) {
	var rest []indices
	for _, r := range s.ranges {
		if r.first < from {
			rest = append(rest, indices{r.first, min(r.last, from-1)})
		}
		if r.last >= to {
			rest = append(rest, indices{max(r.first, to), r.last})
		}
	}
	s.ranges = rest
}

// after returns the number of the first range that begins after i.
func (s *indexSet) after(i int64) int {
	at := len(s.ranges)
	for at > 0 && s.ranges[at-1].first > i {
		at--
	}
	return at
}
