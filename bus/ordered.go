package bus

// An ordered list keeps members in the order they entered. Leaving takes no search: the member says itself that it has
// left, and the list sweeps such members out once they are half of it. So n members enter and leave in O(n) steps, and
// the list never holds more members that have left than members that are there.
type ordered[M interface{ hasLeft() bool }] struct {
	all  []M
	left int // how many of all have left
}

func (l *ordered[M]) add(m M) { l.all = append(l.all, m) }

// leave notes that one more member of the list has left. The caller counts each member once.
func (l *ordered[M]) leave() {
	if l.left++; 2*l.left >= len(l.all) {
		l.sweep()
	}
}

// live returns the members that are there. The slice is the list's own: it is good until the next change.
func (l *ordered[M]) live() []M {
	if l.left > 0 {
		l.sweep()
	}
	return l.all
}

func (l *ordered[M]) len() int { return len(l.all) - l.left }

func (l *ordered[M]) sweep() {
	kept := l.all[:0]
	for _, m := range l.all {
		if !m.hasLeft() {
			kept = append(kept, m)
		}
	}
	clear(l.all[len(kept):])
	l.all, l.left = kept, 0
	if cap(kept) > 64 && len(kept) < cap(kept)/4 { // give the memory back
		l.all = append(make([]M, 0, 2*len(kept)), kept...)
	}
}
