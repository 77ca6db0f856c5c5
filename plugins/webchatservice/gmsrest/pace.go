package gmsrest

import "time"

// poll is the pace of polling (webchatservice 5.4).
type poll struct {
	fixed    bool          // always poll at rate
	rate     time.Duration // used when fixed, and right after waking
	shortest time.Duration
	longest  time.Duration
	mult     float64 // growth, more than 1
	sleep    time.Duration
}

// pace tells when to poll next. Its owner's mutex guards it.
type pace struct {
	poll   poll
	rate   time.Duration
	asleep bool
	begun  time.Time // when the last poll, or polling, began
	done   time.Time // when the last poll came to its end
}

// start begins polling anew: the first poll is one shortest interval away.
func (p *pace) start(now time.Time) {
	p.reset()
	p.begun, p.done = now, time.Time{}
}

// reset goes back to the shortest interval.
func (p *pace) reset() { p.rate = p.poll.shortest }

// polled counts a poll that began at begun and ended now.
func (p *pace) polled(begun, now time.Time) {
	p.begun, p.done = begun, now
	// In whole milliseconds, truncated, as the reference client counts; never standing still.
	next := time.Duration(float64(p.rate.Milliseconds())*p.poll.mult) * time.Millisecond
	p.rate = min(max(next, p.rate+time.Millisecond), p.poll.longest)
}

// sleep slows down or wakes up.
func (p *pace) sleep(asleep bool) {
	if p.asleep && !asleep {
		p.rate = p.poll.rate
	}
	p.asleep = asleep
}

// interval is the time from one poll to the next.
func (p *pace) interval() time.Duration {
	switch {
	case p.asleep:
		return p.poll.sleep
	case p.poll.fixed:
		return p.poll.rate
	}
	return p.rate
}

// due is when the next poll may begin: one interval after the last began, but not right behind the
// answer to a slow one (the reference client looks each half of the shortest interval).
func (p *pace) due() time.Time {
	due := p.begun.Add(p.interval())
	if late := p.done.Add(p.poll.shortest / 2); late.After(due) {
		return late
	}
	return due
}
