package gms

// Seen is a set of indices, as ranges in rising order. A transcript without gaps is one range, so it
// stays small.
type Seen []span

type span struct{ first, last int64 }

// Add puts i into the set and reports whether it was not in it.
func (s *Seen) Add(i int64) bool {
	at := len(*s)
	for at > 0 && (*s)[at-1].first > i { // new indices are almost always the highest
		at--
	}
	left := at > 0 && (*s)[at-1].last >= i-1
	if left && (*s)[at-1].last >= i {
		return false
	}
	right := at < len(*s) && (*s)[at].first == i+1
	switch {
	case left && right:
		(*s)[at-1].last = (*s)[at].last
		*s = append((*s)[:at], (*s)[at+1:]...)
	case left:
		(*s)[at-1].last = i
	case right:
		(*s)[at].first = i
	default:
		*s = append(*s, span{})
		copy((*s)[at+1:], (*s)[at:])
		(*s)[at] = span{i, i}
	}
	return true
}

// Has reports whether i is in the set.
func (s Seen) Has(i int64) bool {
	for at := len(s) - 1; at >= 0; at-- {
		if s[at].first <= i {
			return i <= s[at].last
		}
	}
	return false
}
