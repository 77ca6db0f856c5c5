package main

import (
	"path"
	"strings"
	"sync"
	"sync/atomic"
)

// trie finds the subscribers of a name in a tree by segment, every time.
type trie struct{ root trieNode }

type trieNode struct {
	kids map[string]*trieNode
	star *trieNode
	fns  []func(*msg)
}

func newTrie() wildcards { return &trie{} }

func (t *trie) subscribe(pattern string, h handlers) {
	at := &t.root
	for part := range strings.SplitSeq(pattern, ".") {
		at = at.child(part)
	}
	at.fns = append(at.fns, h.plain)
}

func (n *trieNode) child(part string) *trieNode {
	if part == "*" {
		if n.star == nil {
			n.star = &trieNode{}
		}
		return n.star
	}
	if n.kids[part] == nil {
		if n.kids == nil {
			n.kids = map[string]*trieNode{}
		}
		n.kids[part] = &trieNode{}
	}
	return n.kids[part]
}

func (t *trie) publish(name topicName, m *msg) { t.root.publish(name.full, m) }
func (t *trie) close()                         {}

func (n *trieNode) publish(rest string, m *msg) {
	part, rest, more := strings.Cut(rest, ".")
	for _, next := range [2]*trieNode{n.kids[part], n.star} {
		switch {
		case next == nil:
		case more:
			next.publish(rest, m)
		default:
			for _, fn := range next.fns {
				fn(m)
			}
		}
	}
}

// memo remembers the subscribers of each name it has seen.
type memo struct {
	seen     atomic.Pointer[map[string][]func(*msg)]
	mu       sync.Mutex // guards what follows
	patterns []string
	fns      []func(*msg)
}

func newMemo() wildcards { return &memo{} }

func (s *memo) subscribe(pattern string, h handlers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patterns, s.fns = append(s.patterns, pattern), append(s.fns, h.plain)
	s.seen.Store(&map[string][]func(*msg){})
}

func (s *memo) publish(name topicName, m *msg) {
	fns, ok := (*s.seen.Load())[name.full]
	if !ok {
		fns = s.learn(name.full)
	}
	for _, fn := range fns {
		fn(m)
	}
}

func (s *memo) learn(name string) (fns []func(*msg)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.patterns {
		if ok, _ := path.Match(p, name); ok {
			fns = append(fns, s.fns[i])
		}
	}
	next := map[string][]func(*msg){name: fns}
	for n, f := range *s.seen.Load() {
		next[n] = f
	}
	s.seen.Store(&next)
	return fns
}

func (*memo) close() {}
