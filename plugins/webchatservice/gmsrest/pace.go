package gmsrest

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// pollDefaults fills in and checks the pace (webchatservice 2.1, 5.4).
func pollDefaults(p chat.Poll) (chat.Poll, error) {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&p.Rate, 3*time.Second)
	set(&p.Min, 500*time.Millisecond)
	set(&p.Max, max(3*time.Second, p.Min))
	set(&p.Sleep, 30*time.Second)
	if p.Mult == 0 {
		p.Mult = 1.2
	}
	text := ""
	switch {
	case p.Rate < 0 || p.Min < 0 || p.Sleep < 0:
		text = "a poll rate is negative"
	case p.Max < p.Min:
		text = "webchat.pollRateMax is less than webchat.pollRateMin"
	case !(p.Mult > 1): // NaN, too
		text = "webchat.pollRateMult is not more than 1"
	}
	if text != "" {
		return p, gms.Invalid("configure", text)
	}
	return p, nil
}

// pace tells when to poll next. Its owner's mutex guards it.
type pace struct {
	poll   chat.Poll
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
func (p *pace) reset() { p.rate = p.poll.Min }

// polled counts a poll that began at begun and ended now.
func (p *pace) polled(begun, now time.Time) {
	p.begun, p.done = begun, now
	// In whole milliseconds, truncated, as the reference client counts; never standing still.
	next := time.Duration(float64(p.rate.Milliseconds())*p.poll.Mult) * time.Millisecond
	p.rate = min(max(next, p.rate+time.Millisecond), p.poll.Max)
}

// sleep slows down or wakes up.
func (p *pace) sleep(asleep bool) {
	if p.asleep && !asleep {
		p.rate = p.poll.Rate
	}
	p.asleep = asleep
}

// interval is the time from one poll to the next.
func (p *pace) interval() time.Duration {
	switch {
	case p.asleep:
		return p.poll.Sleep
	case p.poll.Fixed:
		return p.poll.Rate
	}
	return p.rate
}

// due is when the next poll may begin: one interval after the last began, but not right behind the
// answer to a slow one (the reference client looks each half of the shortest interval).
func (p *pace) due() time.Time {
	due := p.begun.Add(p.interval())
	if late := p.done.Add(p.poll.Min / 2); late.After(due) {
		return late
	}
	return due
}
