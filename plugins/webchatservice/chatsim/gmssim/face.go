package gmssim

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// Name is the name of the face, of its wire in a [chatsim.Request], and of its base URL.
const Name = "gms"

// firstAlias is the alias of a server before its first restart.
const firstAlias = 204

// Options changes a [Face]. The zero value of each field is the default.
type Options struct {
	// Services are the names of the chat services. Default
	// "customer-support" alone; the base URL names the first.
	Services []string
	// MaxMessage is how many characters a message or a typing preview may
	// have. Default 14,700. More than 32,768 bytes are refused in any case.
	MaxMessage int
	// Files sets the limits of file transfer.
	Files FileLimits
	// APIKey, if set, must come in the header "apikey" or "x-api-key", as a
	// gateway in front of the server asks it; else HTTP 403.
	APIKey string
	// User and Password, if User is set, must come as HTTP basic
	// authentication; else HTTP 401.
	User, Password string
	// Quirks choose where servers, or the sources about them, differ.
	Quirks Quirks
}

// Face is a GMS on a server: its REST interface, and what its other interfaces share with that. It implements
// [chatsim.Face]. All methods are safe for concurrent use.
type Face struct {
	opts Options
	host *chatsim.Host

	mu    sync.Mutex
	alias int
}

// New makes a GMS for [chatsim.Options].Faces; nil means defaults.
func New(opts *Options) *Face {
	g := &Face{alias: firstAlias}
	if opts != nil {
		g.opts = *opts
	}
	o := &g.opts
	o.Services = slices.Clone(o.Services)
	if len(o.Services) == 0 {
		o.Services = []string{"customer-support"}
	}
	o.MaxMessage = cmp.Or(o.MaxMessage, 14700)
	o.Files = o.Files.withDefaults()
	return g
}

// Of returns the GMS of a server. It panics if the server has none.
func Of(s *chatsim.Server) *Face {
	g, ok := chatsim.FaceOf[*Face](s)
	if !ok {
		panic("gmssim: the server has no GMS among its faces")
	}
	return g
}

// URL returns the base address of the Chat API over REST on the server's in-memory network:
// "http://sim.test/genesys/2/chat/customer-support".
func URL(s *chatsim.Server) string { return s.URL(Name) }

// Options returns the options with their defaults filled in. They are not to be changed.
func (g *Face) Options() *Options { return &g.opts }

// Alias returns the alias that answers carry. A restart of the server changes it, as a failover does.
func (g *Face) Alias() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strconv.Itoa(g.alias)
}

// SetAlias changes the alias that answers carry.
func (g *Face) SetAlias(alias int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alias = alias
}

// Name implements [chatsim.Face].
func (g *Face) Name() string { return Name }

// Open implements [chatsim.Face].
func (g *Face) Open(h *chatsim.Host, mux *http.ServeMux) {
	g.host, g.alias = h, firstAlias
	mux.HandleFunc(root, g.serve)
	mux.HandleFunc(strings.TrimSuffix(root, "/"), g.serve) // to say 404: a mux would redirect
}

// BaseURLs implements [chatsim.Face].
func (g *Face) BaseURLs(hostport string) map[string]string {
	return map[string]string{Name: "http://" + hostport + root + g.opts.Services[0]}
}

// Changed implements [chatsim.Face].
func (g *Face) Changed(tx *chatsim.Tx) {
	s := stateOf(tx)
	if s == nil {
		return // a chat of another kind
	}
	for _, e := range tx.After(s.noted) {
		if e.Type == chatsim.IdleAlert && tx.Async() {
			tx.Attach(map[string]string{"GCTI_Chat_AsyncStatus": "3"}) // wire-gms C.3
		}
	}
	s.noted = tx.Len()
}

// Restart implements [chatsim.Face].
func (g *Face) Restart(bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alias++
}

// Close implements [chatsim.Face].
func (g *Face) Close() {}

var _ chatsim.Face = (*Face)(nil)

// state is what a GMS knows of one chat. Guarded by the chat's lock.
type state struct {
	secret, userID string
	noted          int     // so many events has Changed seen
	unnumbered     int     // behind so many events are the unnumbered ones that the visitor has not had
	answered       *Answer // the last answer that had events; immutable
	files          fileCounts
}

type stateKey struct{}

// stateOf returns the state of a chat, nil if no GMS has made it.
func stateOf(tx *chatsim.Tx) *state {
	s, _ := tx.Value(stateKey{}).(*state)
	return s
}
