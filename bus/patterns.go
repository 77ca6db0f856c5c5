package bus

import (
	"slices"
	"strings"
)

// patterns finds the wildcard subscriptions that fit a name, in the order they
// were made. It is a tree by segment; the bus's mutex guards it.
type patterns struct {
	root patternNode
	n    int
}

type patternNode struct {
	kids map[string]*patternNode
	star *patternNode           // a leading "*"
	here ordered[*Subscription] // patterns that end here
	tail ordered[*Subscription] // patterns that end here with a final "*"
}

func (ps *patterns) node(p pattern) *patternNode {
	at := &ps.root
	for i, part := range p.parts {
		if i == 0 && p.lead {
			if at.star == nil {
				at.star = &patternNode{}
			}
			at = at.star
			continue
		}
		next := at.kids[part]
		if next == nil {
			next = &patternNode{}
			if at.kids == nil {
				at.kids = map[string]*patternNode{}
			}
			at.kids[part] = next
		}
		at = next
	}
	return at
}

// add enters a subscription that is not in the tree.
func (ps *patterns) add(s *Subscription) {
	at := ps.node(s.pattern)
	if s.pattern.tail {
		at.tail.add(s)
	} else {
		at.here.add(s)
	}
	ps.n++
}

// remove takes out a subscription that is in the tree and has left.
func (ps *patterns) remove(s *Subscription) {
	at := ps.node(s.pattern)
	list := &at.here
	if s.pattern.tail {
		list = &at.tail
	}
	list.leave()
	ps.n--
	if at.here.len()+at.tail.len()+len(at.kids) == 0 {
		ps.prune(s.pattern)
	}
}

// prune drops the branch of a pattern as far as nothing else uses it, so that
// subscribing to ever new patterns does not grow the tree.
func (ps *patterns) prune(p pattern) {
	path := []*patternNode{&ps.root}
	at := &ps.root
	for i, part := range p.parts {
		if i == 0 && p.lead {
			at = at.star
		} else {
			at = at.kids[part]
		}
		if at == nil {
			return
		}
		path = append(path, at)
	}
	for i := len(path) - 1; i > 0; i-- {
		n := path[i]
		if n.here.len()+n.tail.len()+len(n.kids) > 0 || n.star != nil {
			return
		}
		if i == 1 && p.lead {
			ps.root.star = nil
		} else {
			delete(path[i-1].kids, p.parts[i-1])
		}
	}
}

// match appends the subscriptions that fit name to list.
func (ps *patterns) match(name string, list []*Subscription) []*Subscription {
	if ps.n == 0 {
		return list
	}
	list = append(list, ps.root.tail.live()...)
	seg, rest, more := strings.Cut(name, ".")
	if n := ps.root.kids[seg]; n != nil {
		list = n.match(rest, more, list)
	}
	if n := ps.root.star; n != nil {
		list = n.match(rest, more, list)
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b *Subscription) int { return int(a.seq) - int(b.seq) })
	}
	return list
}

func (n *patternNode) match(rest string, more bool, list []*Subscription) []*Subscription {
	for more {
		list = append(list, n.tail.live()...)
		var seg string
		seg, rest, more = strings.Cut(rest, ".")
		if n = n.kids[seg]; n == nil {
			return list
		}
	}
	return append(list, n.here.live()...)
}
