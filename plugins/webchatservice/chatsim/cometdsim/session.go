package cometdsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// session is the server's side of one handshake (wire-gms D.3). Its mu
// is taken after a chat's and before the hub's.
type session struct {
	hub     *Face
	id      string
	browser string // BAYEUX_BROWSER
	node    int
	acks    bool // the acknowledge extension is on

	mu        sync.Mutex
	gone      bool // expired, disconnected or forgotten
	connected bool // has sent a connect
	carrier   string
	queue     [][]byte // not handed to a carrier yet
	handed    int      // so many messages were handed to a carrier before those of queue
	corks     int      // requests under way that deliveries wait for
	held      *hold
	sock      *socket // the websocket that last sent a connect
	expiry    *time.Timer
	expires   time.Time
	attached  map[*chatsim.Chat]struct{}
	unacked   []unacked
	batchNo   int
	lastAck   int
}

// unacked is a delivery that the client has not acknowledged.
type unacked struct {
	batch   int
	message []byte
}

// hold is a connect that waits for its answer.
type hold struct {
	reply   *bayeuxReply
	timer   *time.Timer
	forever bool           // a fault: nothing but the end of the session releases it
	fault   *chatsim.Fault // what happens to the answer
	sock    *socket        // nil on long-polling
	// done is closed at the release; on long-polling alone.
	done chan struct{}
	why  release // set before done is closed
}

// release says why a held connect is answered.
type release int

const (
	byTime release = iota
	byEvents
	byDisconnect
	byNewerConnect
	byExpiry // the session is no more
)

// deliver queues a message with data.
func (b *session) deliver(channel string, data []byte) {
	name, err := json.Marshal(channel)
	if err != nil {
		panic("cometdsim: channel does not encode: " + err.Error())
	}
	message := fmt.Appendf(nil, `{"channel":%s,"data":%s}`, name, data)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	b.queue = append(b.queue, message)
	if b.acks {
		b.unacked = append(b.unacked, unacked{b.batchNo, message})
	}
	b.flushLocked()
}

func (b *session) onlyWithConnect() bool {
	return b.hub.opts.Quirks.MetaConnectDeliverOnly
}

// flushLocked hands the queue to a carrier, if one can take it.
func (b *session) flushLocked() {
	switch {
	case b.corks > 0 || len(b.queue) == 0:
	case b.held != nil && !b.held.forever && (b.held.sock == nil || b.onlyWithConnect()):
		b.releaseLocked(byEvents)
	case b.sock != nil && !b.onlyWithConnect():
		for _, message := range b.takeLocked(len(b.queue)) {
			b.sock.send(frame{data: batch(message)})
		}
	}
}

// takeLocked takes the first n messages off the queue.
func (b *session) takeLocked(n int) [][]byte {
	n = min(n, len(b.queue))
	taken := b.queue[:n:n]
	b.queue = b.queue[n:]
	b.handed += n
	return taken
}

// cork keeps deliveries back until uncork, so that the reply to a message comes
// before what the message has caused. It returns a mark for takeBeforeLocked.
func (b *session) cork() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.corks++
	return b.handed + len(b.queue)
}

// takeBeforeLocked takes off the queue what was there when cork returned the
// mark, but for what another request has taken since.
func (b *session) takeBeforeLocked(mark int) [][]byte {
	return b.takeLocked(max(mark-b.handed, 0))
}

func (b *session) uncork() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.corks--
	b.flushLocked()
}

// touch notes a message other than connect: the session lives on for
// maxInterval at least.
func (b *session) touch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expiry != nil && time.Until(b.expires) < b.hub.opts.MaxInterval {
		b.armLocked(b.hub.opts.MaxInterval)
	}
}

// armLocked lets the session expire in d, unless there is a connect before.
func (b *session) armLocked(d time.Duration) {
	b.disarmLocked()
	if b.gone {
		return
	}
	b.expires = time.Now().Add(d)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		current := b.expiry == timer
		b.mu.Unlock()
		if current {
			b.drop(byExpiry)
		}
	})
	b.expiry = timer
}

func (b *session) disarmLocked() {
	if b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
}

// answeredLocked notes that a handshake or a connect has been answered.
func (b *session) answeredLocked() {
	b.armLocked(max(0, b.hub.opts.Interval) + b.hub.opts.MaxInterval)
}

// drop ends the session. Its chats go on.
func (b *session) drop(why release) {
	b.hub.remove(b)
	b.mu.Lock()
	if b.gone {
		b.mu.Unlock()
		return
	}
	b.gone = true
	b.disarmLocked()
	b.releaseLocked(why)
	chats := b.attached
	b.attached, b.sock = nil, nil
	b.mu.Unlock()
	for c := range chats {
		c.Update(func(tx *chatsim.Tx) { detach(tx, b) })
	}
}

// connect is /meta/connect. It returns the reply, or the hold that will have
// it. alone says that the message came by itself.
func (b *session) connect(m *bayeuxMessage, via carrier, alone bool, fault *chatsim.Fault) (*bayeuxReply, *hold) {
	h := b.hub
	reply := m.reply()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return reply.unknown(), nil
	}
	b.disarmLocked()
	if b.held != nil {
		b.releaseLocked(byNewerConnect)
	}
	first := !b.connected
	if m.Advice != nil || first || b.carrier != via.name() {
		reply.Advice = h.advice()
	}
	b.connected, b.carrier, b.sock = true, via.name(), via.sock
	b.acknowledgedLocked(m)

	timeout := h.opts.Timeout
	if m.Advice != nil && m.Advice.Timeout != nil {
		timeout = time.Duration(*m.Advice.Timeout * float64(time.Millisecond))
	}
	forever := detailsOf(fault).Hold
	if !forever && (first || timeout <= 0 || !alone || len(b.queue) > 0) {
		return b.finishLocked(reply), nil
	}
	if via.sock == nil {
		if advice, ok := h.tooMany(b); !ok {
			reply.Advice = advice
			reply.Successful = h.opts.MultiSessionInterval > 0
			return b.finishLocked(reply), nil
		}
	}
	held := &hold{reply: reply, sock: via.sock, fault: fault, forever: forever, done: make(chan struct{})}
	if !forever {
		held.timer = time.AfterFunc(timeout, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.held == held {
				b.releaseLocked(byTime)
			}
		})
	}
	b.held = held
	return nil, held
}

// acknowledgedLocked does what the acknowledge extension does with a connect:
// a number that was given before says that an answer was lost, and all that
// is not acknowledged goes out again (wire-gms D.8).
func (b *session) acknowledgedLocked(m *bayeuxMessage) {
	if !b.acks || m.Ext == nil {
		return
	}
	var n int
	if json.Unmarshal(m.Ext.Ack, &n) != nil {
		return
	}
	if n > b.lastAck {
		b.lastAck = n
		for len(b.unacked) > 0 && b.unacked[0].batch <= n {
			b.unacked = b.unacked[1:]
		}
		return
	}
	b.handed -= len(b.unacked) - len(b.queue) // the queue is the end of it
	b.queue = nil
	for _, u := range b.unacked {
		b.queue = append(b.queue, u.message)
	}
}

// finishLocked completes a connect reply that is about to be sent.
func (b *session) finishLocked(reply *bayeuxReply) *bayeuxReply {
	if b.acks {
		reply.Ext = json.RawMessage(fmt.Sprintf(`{"ack":%d}`, b.batchNo))
		b.batchNo++
	}
	b.answeredLocked()
	return reply
}

// releaseLocked answers the held connect, if there is one. On a websocket the
// answer goes out here, on long-polling the request that waits has it.
func (b *session) releaseLocked(why release) {
	h := b.held
	if h == nil {
		return
	}
	b.held = nil
	if h.timer != nil {
		h.timer.Stop()
	}
	h.why = why
	if h.sock == nil {
		b.hub.lessHeld(b.browser)
		close(h.done)
		return
	}
	if why == byNewerConnect {
		h.sock.send(frame{close: 1000, text: "Cancel"})
		return
	}
	messages, _ := b.heldAnswerLocked(h)
	h.sock.reply(messages, h.fault)
}

// heldAnswerLocked makes the answer to a connect that was held; a status other
// than 200 stands for it on long-polling.
func (b *session) heldAnswerLocked(h *hold) (messages [][]byte, status int) {
	switch h.why {
	case byNewerConnect:
		return nil, http.StatusInternalServerError
	case byExpiry:
		h.reply.unknown()
	case byDisconnect:
		h.reply.Advice = json.RawMessage(`{"reconnect":"none","interval":0}`)
	default:
		b.finishLocked(h.reply)
		if h.sock == nil || b.onlyWithConnect() {
			messages = b.takeLocked(len(b.queue))
		}
	}
	detailsOf(h.fault).alter(h.reply)
	return append(messages, h.reply.encode()), http.StatusOK
}

// giveUp ends a hold whose client has gone, with no answer.
func (b *session) giveUp(h *hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == h {
		b.held = nil
		if h.timer != nil {
			h.timer.Stop()
		}
		if h.sock == nil {
			b.hub.lessHeld(b.browser)
		}
	}
	if b.held == nil {
		b.answeredLocked()
	}
}

// without ends the use of a websocket that is closed.
func (b *session) without(s *socket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sock == s {
		b.sock = nil
	}
	if h := b.held; h != nil && h.sock == s {
		b.held = nil
		if h.timer != nil {
			h.timer.Stop()
		}
		b.answeredLocked()
	}
}
