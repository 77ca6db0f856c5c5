package bayeux

import (
	"strconv"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// Values of advice.reconnect.
const (
	adviceRetry     = "retry"
	adviceHandshake = "handshake"
	adviceNone      = "none"
)

const (
	// defaultConnectTimeout is advice.timeout as long as the server has not said it.
	defaultConnectTimeout = 60 * time.Second
	// What a server may advise at most. More is cut to this.
	maxAdvisedInterval = time.Hour
	maxAdvisedTimeout  = 10 * time.Minute
)

// advice is what the server of one session has advised so far (wire-gms D.5). The reader begins each session with a new
// one.
type advice struct {
	reconnect   string        // of the last meta message alone; "" if that did not say
	delay       time.Duration // the interval that the last meta message itself told; 0 if it did not
	interval    time.Duration
	timeout     time.Duration
	maxInterval time.Duration

	// The server takes the client for one of several with the same cookies: the last meta message said so. A server
	// says it again with each connect for which it holds. So it is no advice to keep: what was advised before counts
	// again with the first reply that does not say it.
	multiple         bool
	multipleInterval time.Duration
}

// merge takes in a meta message: its advice, or nil. A member of the wrong type counts as missing. hosts are ignored.
func (a *advice) merge(raw []byte) {
	a.reconnect, a.delay, a.multiple = "", 0, false
	interval := a.interval
	wirejson.EachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "reconnect":
			switch s := text(value); s {
			case adviceRetry, adviceHandshake, adviceNone:
				a.reconnect = s
			}
		case "interval":
			milliseconds(value, &interval, maxAdvisedInterval)
			milliseconds(value, &a.delay, maxAdvisedInterval)
			a.delay = max(a.delay, 0)
		case "timeout":
			milliseconds(value, &a.timeout, maxAdvisedTimeout)
		case "maxInterval":
			milliseconds(value, &a.maxInterval, maxAdvisedInterval)
		case "multiple-clients":
			a.multiple = wirejson.Scalar(value) == "true"
		}
	})
	if a.multiple {
		a.multipleInterval = interval
	} else {
		a.interval = interval
	}
}

// current returns the interval that counts now. A negative one means that no connect shall follow.
func (a *advice) current() time.Duration {
	if a.multiple {
		return a.multipleInterval
	}
	return a.interval
}

// pause is how long to wait between the reply to a connect and the next one.
func (a *advice) pause() time.Duration { return max(a.current(), 0) }

// stop reports whether the advice is to stop.
func (a *advice) stop() bool { return a.reconnect == adviceNone || a.current() < 0 }

// milliseconds reads a number of milliseconds, and cuts it to longest. Below 0 it is -1.
func milliseconds(value []byte, into *time.Duration, longest time.Duration) {
	f, err := strconv.ParseFloat(wirejson.Scalar(value), 64)
	if err != nil || f != f {
		return
	}
	switch {
	case f < 0:
		*into = -1
	case f >= float64(longest/time.Millisecond):
		*into = longest
	default:
		*into = time.Duration(f * float64(time.Millisecond))
	}
}
