package cometdsim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// socket is a websocket (wire-gms D.7). One goroutine reads and handles, one
// writes; what is to be written waits in a queue without a limit.
type socket struct {
	hub   *Face
	conn  *websocket.Conn
	raw   *frameConn // under conn
	via   carrier
	log   chatsim.Request
	fault *chatsim.Fault // of the upgrade

	mu       sync.Mutex
	out      []frame
	wake     chan struct{} // holds one token while out may have something
	done     bool          // nothing is sent any more
	sessions map[*session]struct{}
}

// frame is something to write.
type frame struct {
	data     []byte
	binary   bool
	fragment int
	pings    bool // between fragments
	cut      int
	announce int64
	slow     time.Duration
	pong     bool
	close    int // a close frame with this code and text
	text     string
}

// upgrade turns the request into a websocket and serves it.
func (h *Face) upgrade(x *chatsim.Exchange, via carrier) {
	x.Log.Op = "upgrade"
	x.TakeFault()
	switch {
	case !x.Wait(x.Fault.Delay):
		x.Abort()
	case x.Fault.Status != 0:
		x.Replace()
		return
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		x.Plain(http.StatusServiceUnavailable)
		return
	}
	h.running.Add(1)
	h.mu.Unlock()
	defer h.running.Done()

	x.Note(http.StatusSwitchingProtocols)
	w := &frameHijacker{ResponseWriter: x.W}
	conn, err := h.upgrader.Upgrade(w, x.R, x.W.Header())
	if err != nil {
		return // the upgrader has answered
	}
	k := &socket{
		hub: h, conn: conn, raw: w.conn, via: via, log: x.Log, fault: x.Fault,
		wake: make(chan struct{}, 1), sessions: map[*session]struct{}{},
	}
	k.via.sock = k
	h.mu.Lock()
	h.sockets[k] = struct{}{}
	closed := h.closed
	h.mu.Unlock()
	if closed || x.Fault.Drop == chatsim.DropAfter {
		k.reset()
	}
	k.serve()
	h.mu.Lock()
	delete(h.sockets, k)
	h.mu.Unlock()
}

// serve runs the socket to its end.
func (k *socket) serve() {
	var writer sync.WaitGroup
	writer.Go(k.write)
	k.conn.SetReadLimit(k.hub.host.Options().MaxBody)
	k.conn.SetPingHandler(func(data string) error {
		if !k.fault.NoPong {
			k.send(frame{pong: true, data: []byte(data)})
		}
		return nil
	})
	k.conn.SetCloseHandler(func(code int, _ string) error {
		switch {
		case k.raw.shortClose.Load():
			code = websocket.CloseProtocolError // RFC 6455 5.5.1: two bytes, if there are any
		case code == websocket.CloseNoStatusReceived:
			code = websocket.CloseNormalClosure
		}
		k.send(frame{close: code})
		return nil
	})
	for {
		if !k.ending() {
			_ = k.conn.SetReadDeadline(time.Now().Add(k.hub.opts.SocketTimeout))
		}
		kind, data, err := k.conn.ReadMessage()
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			k.send(frame{close: websocket.CloseGoingAway, text: "Idle Timeout"})
		}
		if err != nil {
			break
		}
		k.receive(kind, data)
	}
	k.mu.Lock()
	k.done = true
	sessions := k.sessions
	k.sessions = nil
	k.mu.Unlock()
	k.nudge()
	// The writer may have the answer to a close frame, or may be stuck.
	late := time.AfterFunc(time.Second, func() { _ = k.conn.NetConn().Close() })
	writer.Wait()
	late.Stop()
	_ = k.conn.Close()
	for b := range sessions {
		b.without(k)
	}
}

// receive handles one transport unit.
func (k *socket) receive(kind int, data []byte) {
	switch {
	case k.ending() || k.fault.Mute:
		return
	case kind != websocket.TextMessage:
		k.send(frame{close: websocket.CloseUnsupportedData})
		return
	case !utf8.Valid(data):
		k.send(frame{close: websocket.CloseInvalidFramePayloadData})
		return
	}
	messages, err := parseBayeux(data)
	if err != nil || broken(messages) {
		k.send(frame{close: websocket.CloseInternalServerErr})
		return
	}
	log := k.log
	log.Time = time.Now()
	for _, in := range k.hub.prepare(messages, log) {
		k.hub.host.Log(in.log)
		k.handle(in, len(messages) == 1)
	}
}

func (k *socket) handle(in *incoming, alone bool) {
	fault := in.fault
	switch {
	case fault.Drop == chatsim.DropBefore, !k.wait(fault.Delay):
		k.reset()
		return
	case fault.Status != 0 && !fault.Accept:
		k.send(frame{close: websocket.CloseInternalServerErr})
		return
	}
	b := k.hub.find(in.ClientID, k.via)
	if b != nil {
		b.cork()
		defer func() { b.uncork() }()
	}
	reply, session, _ := k.hub.handle(in, k.via, alone)
	if session != nil {
		k.mu.Lock()
		if k.sessions != nil {
			k.sessions[session] = struct{}{}
		}
		k.mu.Unlock()
	}
	if fault.Drop == chatsim.DropAfter || fault.Late > 0 {
		k.reset()
		return
	}
	if b != nil && (fault.DelayAnswer > 0 || k.hub.opts.Quirks.DeliverFirst) {
		b.uncork()
		defer b.cork()
	}
	if !k.wait(fault.DelayAnswer) {
		k.reset()
		return
	}
	if reply == nil {
		return // a held connect
	}
	var messages [][]byte
	if b != nil && in.Channel == metaConnect && reply.Successful {
		b.mu.Lock()
		messages = b.takeLocked(len(b.queue))
		b.mu.Unlock()
	}
	k.reply(append(messages, reply.encode()), fault)
}

// reply sends messages in one frame, the way a fault wants it.
func (k *socket) reply(messages [][]byte, fault *chatsim.Fault) {
	if fault.Close != 0 {
		k.send(frame{close: fault.Close})
		return
	}
	data := batch(messages...)
	if fault.Rewrite != nil {
		data = fault.Rewrite(data)
	}
	if fault.Truncate > 0 {
		data = data[:min(fault.Truncate, len(data))]
	}
	if fault.Pad > 0 {
		data = append(bytes.Repeat([]byte{' '}, int(fault.Pad)), data...)
	}
	k.send(frame{data: data, binary: fault.Binary, fragment: fault.Fragment, pings: detailsOf(fault).Ping, cut: fault.Cut, announce: fault.Announce, slow: fault.Slow})
}

// send queues a frame.
func (k *socket) send(f frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done || k.fault.Mute {
		return
	}
	k.done = f.close != 0
	k.out = append(k.out, f)
	k.nudge()
}

func (k *socket) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *socket) ending() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.done
}

// write writes frames until the socket ends.
func (k *socket) write() {
	for range k.wake {
		k.mu.Lock()
		out, done := k.out, k.done
		k.out = nil
		k.mu.Unlock()
		for _, f := range out {
			if k.writeFrame(f) != nil {
				_ = k.conn.Close() // the reader ends
				return
			}
		}
		if done {
			return
		}
	}
}

// closeWait is how long a client has to answer a close frame.
const closeWait = 5 * time.Second

func (k *socket) writeFrame(f frame) error {
	switch {
	case f.pong:
		return k.conn.WriteControl(websocket.PongMessage, f.data, time.Time{})
	case f.close != 0:
		err := k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(f.close, f.text), time.Time{})
		_ = k.conn.SetReadDeadline(time.Now().Add(closeWait))
		return err
	case f.cut > 0:
		if err := k.writeCut(f.data, f.cut); err != nil {
			return err
		}
		return net.ErrClosed // and the connection ends here
	case f.announce > 0:
		_, err := k.conn.NetConn().Write(appendFrame(nil, websocket.TextMessage, true, f.data, int(f.announce)))
		return err
	case f.fragment > 0:
		return k.writeFragments(f)
	case f.slow > 0:
		return k.writeSlowly(f)
	case f.binary:
		return k.conn.WriteMessage(websocket.BinaryMessage, f.data)
	}
	return k.conn.WriteMessage(websocket.TextMessage, f.data)
}

// writeFragments writes one message as many small frames (RFC 6455 5.4).
func (k *socket) writeFragments(f frame) error {
	var raw []byte
	opcode := byte(websocket.TextMessage)
	if f.binary {
		opcode = websocket.BinaryMessage
	}
	for data := f.data; ; {
		n := min(f.fragment, len(data))
		final := n == len(data)
		raw = appendFrame(raw, opcode, final, data[:n], n)
		if final {
			break
		}
		data, opcode = data[n:], 0
		if f.pings { // RFC 6455 5.5: control frames may be there
			raw = appendFrame(raw, websocket.PingMessage, true, nil, 0)
		}
	}
	_, err := k.conn.NetConn().Write(raw)
	return err
}

// writeSlowly spreads the writing of a text frame over time.
func (k *socket) writeSlowly(f frame) error {
	const parts = 10
	raw := appendFrame(nil, websocket.TextMessage, true, f.data, len(f.data))
	for i := range parts {
		if !k.wait(f.slow / parts) {
			return net.ErrClosed
		}
		if _, err := k.conn.NetConn().Write(raw[len(raw)*i/parts : len(raw)*(i+1)/parts]); err != nil {
			return err
		}
	}
	return nil
}

// writeCut writes the beginning of a text frame.
func (k *socket) writeCut(data []byte, n int) error {
	_, err := k.conn.NetConn().Write(appendFrame(nil, websocket.TextMessage, true, data[:min(n, len(data))], len(data)))
	return err
}

// appendFrame appends a frame that announces size bytes and holds data. Nothing
// else writes meanwhile: pings and close frames go through the same goroutine.
func appendFrame(b []byte, opcode byte, final bool, data []byte, size int) []byte {
	if final {
		opcode |= 0x80
	}
	b = append(b, opcode)
	switch {
	case size < 126:
		b = append(b, byte(size))
	case size < 1<<16:
		b = append(b, 126, byte(size>>8), byte(size))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	return append(b, data...)
}

// wait lets time pass. It reports false if the server has gone.
func (k *socket) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-k.hub.host.Context().Done():
		return false
	}
}

// reset breaks the connection.
func (k *socket) reset() { chatsim.Reset(k.raw.Conn) }
