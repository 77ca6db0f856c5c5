package cometdsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

const root = "/genesys/cometd"

// serve is the Bayeux end point: every path below the root, either
// carrier.
func (h *Face) serve(w http.ResponseWriter, r *http.Request) {
	x, ok := h.host.Exchange(w, r, Name)
	if !ok {
		return
	}
	upgrade := websocket.IsWebSocketUpgrade(r) && !h.opts.Quirks.NoWebsocket
	switch {
	case h.opts.Quirks.NoCometD:
		x.Plain(http.StatusNotFound)
	case r.Method != http.MethodPost && !upgrade:
		x.Send(http.StatusBadRequest, "text/html; charset=utf-8", []byte("Unknown Bayeux Transport"))
	case !h.trusted(x):
	default:
		via := carrier{node: h.node(w, r), trusted: h.gms.Options().User == "" || r.Header.Get("Authorization") != ""}
		if c, err := r.Cookie(browserCookie); err == nil {
			via.browser = c.Value
		}
		if upgrade && r.Method == http.MethodGet {
			h.upgrade(x, via)
		} else {
			h.longPoll(x, via)
		}
	}
}

// trusted refuses wrong credentials. None at all may still come with a message
// (wire-gms B.1).
func (h *Face) trusted(x *chatsim.Exchange) bool {
	if x.R.Header.Get("Authorization") == "" {
		return h.gms.CheckAPIKey(x)
	}
	return h.gms.Authorize(x)
}

// carrier is what brought a message.
type carrier struct {
	node    int
	browser string  // the cookie, "" without one
	sock    *socket // nil on long-polling
	// trusted says that there were credentials in the header, or that none
	// are asked for.
	trusted bool
}

func (c carrier) name() string {
	if c.sock != nil {
		return "websocket"
	}
	return "long-polling"
}

// find returns the session of a message, as far as the carrier may use it.
func (h *Face) find(id string, via carrier) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.sessions[id]
	switch {
	case b == nil || b.node != via.node:
		return nil
	case via.sock == nil && b.browser != via.browser && !h.opts.Quirks.NoBrowserCookie:
		return nil // wire-gms B.1
	}
	return b
}

// incoming is one message on its way through the server.
type incoming struct {
	*bayeuxMessage
	log   chatsim.Request
	form  *gmssim.Form
	bad   *gmssim.Error  // what is wrong with data
	fault *chatsim.Fault // never nil
}

// prepare looks at the messages of one transport unit and takes a fault for
// each.
func (h *Face) prepare(messages []bayeuxMessage, log chatsim.Request) []*incoming {
	ins := make([]*incoming, len(messages))
	for i := range messages {
		in := &incoming{bayeuxMessage: &messages[i], log: log, fault: &chatsim.Fault{}}
		in.log.Op = in.Channel
		if !strings.HasPrefix(in.Channel, "/meta/") {
			in.form, in.log.Op, in.bad = readData(in.Data)
			in.log.Params, in.log.UserData = in.form.Logged(), in.form.UserData
			if c, ok := h.gms.ChatOf(in.form); ok {
				in.log.Chat = c.ID()
			}
		}
		if f := h.host.TakeFault(in.log); f != nil {
			in.fault, in.log.Faulty = f, true
		}
		ins[i] = in
	}
	return ins
}

// broken reports whether messages are JSON but not for this server: HTTP 500, or
// 1011 (wire-gms D.3).
func broken(messages []bayeuxMessage) bool {
	return len(messages) == 0 || len(messages) > 1 && slices.ContainsFunc(messages, func(m bayeuxMessage) bool {
		return m.Channel == metaHandshake
	})
}

// handle answers one message. With a hold the reply comes later. The session
// is nil if there is none.
func (h *Face) handle(in *incoming, via carrier, alone bool) (*bayeuxReply, *session, *hold) {
	reply := in.reply()
	if in.Channel == metaHandshake {
		b := h.handshake(in, via, reply)
		detailsOf(in.fault).alter(reply)
		return reply, b, nil
	}
	b := h.find(in.ClientID, via)
	var held *hold
	switch {
	case in.Channel == "":
		reply.fail("400::channel missing")
	case b == nil || detailsOf(in.fault).Elsewhere:
		reply.unknown()
	case detailsOf(in.fault).Unsuccessful != "" && !in.fault.Accept: // alter says so
	case in.Channel == metaConnect:
		reply, held = b.connect(in.bayeuxMessage, via, alone, in.fault)
		if held != nil {
			return nil, b, held
		}
	default:
		b.touch()
		h.message(b, in, via, reply)
	}
	detailsOf(in.fault).alter(reply)
	return reply, b, nil
}

func (h *Face) message(b *session, in *incoming, via carrier, reply *bayeuxReply) {
	switch {
	case in.Channel == metaSubscribe, in.Channel == metaUnsubscribe:
		if text := h.subscribe(in); text != "" {
			reply.fail(text)
		}
		reply.Subscription = in.Subscription
	case in.Channel == metaDisconnect:
		b.drop(byDisconnect)
	case strings.HasPrefix(in.Channel, "/meta/") || !strings.HasPrefix(in.Channel, "/"):
		reply.fail("403:denied_by_security_policy:create denied")
	case strings.HasPrefix(in.Channel, chatChannel):
		if !via.trusted && !h.knows(in.Data) {
			reply.fail("403:denied_by_security_policy:publish denied")
			return
		}
		operate := func() { h.operate(b, in) }
		if in.fault.Late > 0 {
			h.host.Later(in.fault.Late, operate)
			return
		}
		operate()
	}
}

// subscribe is /meta/subscribe and /meta/unsubscribe. It returns the error of the reply. A subscription changes nothing:
// the server has service channels alone, which need none.
func (h *Face) subscribe(in *incoming) string {
	channels, text := in.subscriptions()
	if text != "" {
		return text
	}
	for _, channel := range channels {
		if in.Channel == metaSubscribe {
			if text := refusesSubscription(channel); text != "" {
				return text
			}
			h.created(channel, true)
		} else if !strings.HasPrefix(channel, chatChannel) && !h.created(channel, false) {
			return "400::channel_missing"
		}
	}
	return ""
}

// handshake is /meta/handshake (wire-gms D.2).
func (h *Face) handshake(in *incoming, via carrier, reply *bayeuxReply) *session {
	switch {
	case detailsOf(in.fault).Unsuccessful != "" && !in.fault.Accept:
		return nil
	case h.opts.Quirks.StrictHandshake && (in.Version == "" || !slices.ContainsFunc(in.ConnectionTypes, func(t string) bool {
		return slices.Contains(h.connectionTypes(), t)
	})):
		reply.Advice = json.RawMessage(`{"reconnect":"none"}`)
		reply.fail("403::Handshake denied")
		return nil
	}
	browser := via.browser
	if browser == "" {
		browser = h.host.Random(base36, 16)
	}
	b := &session{
		hub: h, id: h.host.Random(base36, 26), browser: browser, node: via.node,
		acks: in.Ext != nil && string(in.Ext.Ack) == "true" && !h.opts.Quirks.NoAcks, batchNo: 1,
		carrier: via.name(), attached: map[*chatsim.Chat]struct{}{},
	}
	reply.ClientID, reply.Version, reply.MinimumVersion = b.id, "1.0", "1.0"
	reply.ConnectionTypes, reply.Advice = h.connectionTypes(), h.advice()
	if b.acks {
		reply.Ext = json.RawMessage(`{"ack":true}`)
	}
	b.mu.Lock()
	b.answeredLocked()
	b.mu.Unlock()
	h.mu.Lock()
	h.sessions[b.id] = b
	closed := h.closed
	h.mu.Unlock()
	if closed {
		b.drop(byExpiry)
	}
	return b
}

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
