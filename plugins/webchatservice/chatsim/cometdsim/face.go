package cometdsim

import (
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// The names of the face, of its wires in a [chatsim.Request], and of its base URLs.
const (
	Name      = "cometd" // the Bayeux server
	FilesName = "files"  // where CometD clients send files
)

// Options changes a [Face] (wire-gms D.3). The zero value of each field is the default.
type Options struct {
	// Timeout is how long a connect is held. Default 30 s.
	Timeout time.Duration
	// Interval is how long clients shall wait between connects. Default 0.
	Interval time.Duration
	// MaxInterval is how long a session outlives its last answered connect,
	// besides Interval. Default 10 s.
	MaxInterval time.Duration
	// TellMaxInterval puts MaxInterval into the advice.
	TellMaxInterval bool
	// Hosts are put into the advice.
	Hosts []string
	// SessionsPerBrowser is how many connects are held for one
	// BAYEUX_BROWSER cookie on long-polling. Default 1, negative for no limit.
	SessionsPerBrowser int
	// MultiSessionInterval is the interval that a connect above that limit is
	// advised. Default 2 s; negative refuses it.
	MultiSessionInterval time.Duration
	// SocketTimeout is how long a websocket may be silent. Default 5 min.
	SocketTimeout time.Duration
	// Nodes is how many servers stand behind the address. They share the
	// chats; a Bayeux session is known to the one that it was made on. The
	// cookie NODE leads a client back to it; who does not send the cookie
	// gets the next node at each request. Default 1, and no such cookie.
	Nodes int
	// Quirks choose where servers, or the sources about them, differ.
	Quirks Quirks
}

// Face is the CometD interface of a GMS: the Bayeux server, and the end point for its clients' files. It implements
// [chatsim.Face]. All methods are safe for concurrent use.
type Face struct {
	opts Options
	host *chatsim.Host
	gms  *gmssim.Face
	*hub
}

// New makes a CometD interface for [chatsim.Options].Faces; nil means defaults. The GMS that it belongs to comes before
// it in that list.
func New(opts *Options) *Face {
	h := &Face{}
	if opts != nil {
		h.opts = *opts
	}
	h.opts = h.opts.withDefaults()
	h.hub = newHub()
	return h
}

// Of returns the CometD interface of a server. It panics if the server has none.
func Of(s *chatsim.Server) *Face {
	h, ok := chatsim.FaceOf[*Face](s)
	if !ok {
		panic("cometdsim: the server has no CometD among its faces")
	}
	return h
}

// URL returns the Bayeux end point on the server's in-memory network: "http://sim.test/genesys/cometd". Clients on
// long-polling need a cookie jar.
func URL(s *chatsim.Server) string { return s.URL(Name) }

// FilesURL returns the address of file operations of CometD clients on the in-memory network:
// "http://sim.test/genesys/2/chat-ntf".
func FilesURL(s *chatsim.Server) string { return s.URL(FilesName) }

// Channel returns the channel of the first chat service: "/service/chatV2/customer-support".
func Channel(s *chatsim.Server) string { return chatChannel + gmssim.Of(s).Options().Services[0] }

// Name implements [chatsim.Face].
func (h *Face) Name() string { return Name }

// Open implements [chatsim.Face]. It panics if the server has no GMS.
func (h *Face) Open(host *chatsim.Host, mux *http.ServeMux) {
	h.host, h.gms, h.hub = host, gmssim.Of(host.Server()), newHub()
	h.upgrader.CheckOrigin = host.AllowsOrigin
	mux.HandleFunc(filesPath, h.serveFiles)
	mux.HandleFunc(filesPath+"/", h.serveFiles)
	mux.HandleFunc(root, h.serve)
	mux.HandleFunc(root+"/", h.serve)
}

// BaseURLs implements [chatsim.Face].
func (h *Face) BaseURLs(hostport string) map[string]string {
	return map[string]string{Name: "http://" + hostport + root, FilesName: "http://" + hostport + filesPath}
}

// Restart implements [chatsim.Face].
func (h *Face) Restart(bool) {
	h.breakSockets()
	h.forget()
}

// Close implements [chatsim.Face].
func (h *Face) Close() { h.close() }

var _ chatsim.Face = (*Face)(nil)
