package main

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// tally is what became of the lines of some chats.
type tally struct {
	Sent      int `json:"sent"`      // that sendMessage was called for
	Confirmed int `json:"confirmed"` // that the server has, by its own word
	Unknown   int `json:"unknown"`   // of which nobody can say whether the server has them
	Failed    int `json:"failed"`    // that the server does not have

	Received int `json:"received"` // lines that came out of the chats, of everybody
	Own      int `json:"own"`      // of these, those that were sent here

	Lost       int `json:"lost"`       // confirmed, and never received
	Unsent     int `json:"unsent"`     // said not to be sent, and received all the same
	Gaps       int `json:"gaps"`       // entries of transcripts that events say are lost
	Missing    int `json:"missing"`    // entries of transcripts that did not come, and no event says so
	Duplicates int `json:"duplicates"` // entries that came again
	Disordered int `json:"outOfOrder"` // entries that came after later ones
}

func (t *tally) add(o tally) {
	t.Sent += o.Sent
	t.Confirmed += o.Confirmed
	t.Unknown += o.Unknown
	t.Failed += o.Failed
	t.Received += o.Received
	t.Own += o.Own
	t.Lost += o.Lost
	t.Unsent += o.Unsent
	t.Gaps += o.Gaps
	t.Missing += o.Missing
	t.Duplicates += o.Duplicates
	t.Disordered += o.Disordered
}

// balanced reports whether every line that was sent ended in one state, and a true one, and everything came out once
// and in order, or was said to be lost.
func (t *tally) balanced() bool {
	return t.Sent == t.Confirmed+t.Unknown+t.Failed && t.Lost <= t.Gaps &&
		t.Unsent == 0 && t.Missing == 0 && t.Duplicates == 0 && t.Disordered == 0
}

// The beginnings of a line, which its number follows, and of the scripted agent's answer to it.
const (
	linePrefix   = "line "
	answerPrefix = "You said: " + linePrefix
)

// stopwatches measure a load. Safe for concurrent use.
type stopwatches struct {
	mu        sync.Mutex // guards the rest
	confirmed histogram  // from the call of sendMessage to its result
	received  histogram  // to the line's coming back
	answered  histogram  // to the agent's answer
}

func (s *stopwatches) stop(h *histogram, begun time.Time) {
	d := time.Since(begun)
	s.mu.Lock()
	defer s.mu.Unlock()
	h.add(d)
}

// fate is what is known of a line that was sent.
type fate struct {
	sent               time.Time
	settled, confirmed bool
	received, failed   bool
}

// ledger keeps the books of one chat. Safe for concurrent use.
type ledger struct {
	watches *stopwatches

	mu    sync.Mutex     // guards the rest
	lines map[int]*fate  // by number, those of which not everything is known yet
	holes map[int64]bool // indices that have been passed over
	gaps  map[int64]bool // those that events call lost
	high  int64          // highest index so far
	sum   tally
}

func newLedger(w *stopwatches) *ledger {
	return &ledger{watches: w, lines: make(map[int]*fate), holes: make(map[int64]bool), gaps: make(map[int64]bool)}
}

// send takes down that a line is about to be sent, and returns its text.
func (l *ledger) send() (number int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Sent++
	l.lines[l.sum.Sent] = &fate{sent: time.Now()}
	return l.sum.Sent, linePrefix + strconv.Itoa(l.sum.Sent)
}

// settle takes down what the service said about a line.
func (l *ledger) settle(number int, unknown bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.lines[number]
	f.settled = true
	switch {
	case err == nil:
		f.confirmed = true
		l.sum.Confirmed++
		if !f.received {
			l.sum.Lost++
		}
		l.watches.stop(&l.watches.confirmed, f.sent)
	case unknown:
		l.sum.Unknown++
	default:
		f.failed = true
		l.sum.Failed++
		if f.received {
			l.sum.Unsent++
		}
	}
}

// receive takes down lines of the transcript.
func (l *ledger) receive(d webchatservice.MessageReceivedData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range d.Messages {
		if again := l.placeLocked(m.Index); again || m.Type != chat.KindMessage {
			continue
		}
		l.sum.Received++
		if m.From.Type == chat.RoleClient {
			l.sum.Own++
			l.ownLocked(m.Text)
		} else if rest, ok := strings.CutPrefix(m.Text, answerPrefix); ok {
			if n, err := strconv.Atoi(rest); err == nil && l.lines[n] != nil {
				l.watches.stop(&l.watches.answered, l.lines[n].sent)
				l.forgetLocked(n)
			}
		}
	}
}

// placeLocked takes down an entry's place in the transcript, and reports whether it has come before.
func (l *ledger) placeLocked(index int64) (again bool) {
	switch {
	case index == 0: // not every entry has one
	case index > l.high:
		for i := l.high + 1; i < index; i++ {
			if !l.gaps[i] {
				l.holes[i] = true
			}
		}
		l.high = index
	case l.gaps[index]: // it has turned up all the same
		delete(l.gaps, index)
	case l.holes[index]:
		delete(l.holes, index)
		l.sum.Disordered++
	default:
		l.sum.Duplicates++
		return true
	}
	return false
}

// ownLocked takes down that a line sent here has come back.
func (l *ledger) ownLocked(text string) {
	n, err := strconv.Atoi(strings.TrimPrefix(text, linePrefix))
	f := l.lines[n]
	switch {
	case err != nil || f == nil || f.received: // it has come before, at another place: the server has it twice
		l.sum.Duplicates++
		return
	case f.failed:
		l.sum.Unsent++
	case f.confirmed:
		l.sum.Lost--
	}
	f.received = true
	l.watches.stop(&l.watches.received, f.sent)
	l.forgetLocked(n - unanswered)
}

// unanswered is how many lines are remembered where no agent answers.
const unanswered = 1000

// forgetLocked drops lines before n, of which nothing more can be learnt.
func (l *ledger) forgetLocked(n int) {
	for i := n - 1; l.lines[i] != nil && l.lines[i].settled && l.lines[i].received; i-- {
		delete(l.lines, i)
	}
}

// gap takes down that entries are lost.
func (l *ledger) gap(d webchatservice.TranscriptGapData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := d.From; i <= d.To; i++ {
		l.gaps[i] = true
		delete(l.holes, i)
	}
}

// tally returns the figures so far. Lost are those that may still come.
func (l *ledger) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.sum
	sum.Missing, sum.Gaps = len(l.holes), len(l.gaps)
	return sum
}
