package gmscometd

import "time"

// lendFor is how long nobody reads at most while what was read is taken in.
const lendFor = 10 * time.Millisecond

// lend has the goroutine that reads, which listens for l, call f. It reports whether that took too long, or the socket was
// needed meanwhile: then another goroutine listens for l, and is the one that reads from now on.
func (s *socket) lend(f func(), l *listener) (relieved bool) {
	s.loans++
	loan := s.loans
	s.lender = l
	if s.late == nil {
		s.late = time.AfterFunc(lendFor, s.relieve)
	}
	s.loan.Store(loan) // from now on the fields above may be another goroutine's
	s.late.Reset(lendFor)
	f() // if it ends the goroutine, the loan ends in time
	if !s.loan.CompareAndSwap(loan, 0) {
		return true
	}
	s.late.Stop()
	return false
}

// relieve has another goroutine read, if the one that does is lent.
func (s *socket) relieve() {
	if s.loan.Swap(0) != 0 {
		go s.lender.takeOver() // the client's goroutine from now on, which close waits for
	}
}
