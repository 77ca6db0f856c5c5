package chatsim

import "time"

// The inactivity control as servers come with it (wire-gms C.3), of regular and
// of long-lived chats: values for [Options].
const (
	UsualIdleAlert      = 255 * time.Second
	UsualIdleClose      = 45 * time.Second
	UsualAsyncIdleAlert = 24 * time.Hour
	UsualAsyncIdleClose = time.Hour
)

const (
	idleAlertText = "This chat will be closed soon because nothing was said for a while."
	idleCloseText = "This chat was closed because nothing was said for a while."
)

// activeLocked notes activity: a message, or a notice that cancels the timer.
func (c *Chat) activeLocked() {
	c.idleUntil = time.Time{}
	alert, closeIn := c.server.opts.IdleAlert, c.server.opts.IdleClose
	if c.async {
		alert, closeIn = c.server.opts.AsyncIdleAlert, c.server.opts.AsyncIdleClose
	}
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
	if alert <= 0 || c.ended {
		return
	}
	c.armIdleLocked(alert, func() { c.alertLocked(closeIn) })
}

// armIdleLocked runs f with the lock held after d, unless the timer is set
// anew before.
func (c *Chat) armIdleLocked(d time.Duration, f func()) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.idle != timer || c.ended || c.server.ctx.Err() != nil {
			return
		}
		f()
	})
	c.idle = timer
}

func (c *Chat) alertLocked(closeIn time.Duration) {
	if c.idle != nil {
		c.idle.Stop()
	}
	c.idleUntil = time.Now().Add(closeIn)
	c.addLocked(&event{kind: IdleAlert, from: c.systemLocked(), text: idleAlertText, closeIn: closeIn})
	c.armIdleLocked(closeIn, func() {
		c.addLocked(&event{kind: IdleClose, from: c.systemLocked(), text: idleCloseText})
		c.endLocked(EndedByIdle)
	})
}

// systemLocked returns the party that the server itself speaks as.
func (c *Chat) systemLocked() *party {
	for _, p := range c.parties {
		if p.kind == External && !p.bot && p.nickname == systemName {
			return p
		}
	}
	return c.joinLocked(systemName, External, false, false, true)
}

const systemName = "system"
