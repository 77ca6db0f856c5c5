package gmscometd

import (
	"context"
	"log/slog"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// Name is the name of this wire.
const Name = "gms-cometd"

// channelOption is the name of the option that names the service.
const channelOption = "webchat.cometD.channel"

// asyncMode is the user data that makes a chat a long-lived one (wire-gms A.7.1).
const asyncMode = "GCTI_Chat_AsyncMode"

// Factory returns the factory of this wire. A configuration that enables CometD and selects no other transport gets it.
func Factory() chat.Factory { return chat.NewFactory(Name, New, chat.Selection{CometD: true}) }

// Driver opens chats on one GMS chat service. It may be used from many goroutines at once.
type Driver struct {
	wire     *gms.Wire
	files    *gms.Wire      // nil: no files
	dialer   *bayeux.Dialer // nil: no websockets
	channel  string
	endpoint string
	mark     bool // lines are sent with their ClientID
	log      *slog.Logger
}

// New returns a driver for c. nil options are the zero Options. It does not touch the network. Its error is a
// [*chat.Error] with code [chat.CodeInvalid] that names the option.
func New(c Config, o *chat.Options) (*Driver, error) {
	c = chat.WithDefaults(c)
	if o == nil {
		o = &chat.Options{}
	}
	w, err := gms.NewWire(c.Config, o, "webchat.cometD.cometURL", c.CometURL, "https://gms.example.net/genesys/cometd")
	if err != nil {
		return nil, err
	}
	d := &Driver{wire: w, channel: c.Channel, endpoint: c.Endpoint, mark: c.MarkLines, log: o.Logger}
	if !strings.HasPrefix(d.channel, "/") || strings.HasPrefix(d.channel, "/meta/") || strings.ContainsAny(d.channel, "*") {
		return nil, &chat.Error{
			Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: "configure", Text: channelOption + " is no channel",
			Hint: "it looks like " + chat.WithDefaults(Config{}).Channel,
		}
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if c.APIURL != "" {
		d.files, err = gms.NewWire(c.Config, o, "webchat.cometD.apiURL", c.APIURL, "https://gms.example.net/genesys/2/chat-ntf")
		if err != nil {
			return nil, err
		}
	}
	if *c.WebsocketEnabled {
		d.dialer = bayeux.NewDialer(w.Address, &bayeux.DialerOptions{Transport: w.Transport(), Dial: o.Dial, MaxMessage: w.MaxAnswer()})
	}
	return d, nil
}

// Open implements [chat.Driver].
func (d *Driver) Open(ctx context.Context, r chat.Request) (chat.Conn, error) {
	const op = "open"
	userData, err := gms.Texts(r.UserData)
	if err != nil {
		return nil, gms.Invalid(op, err.Error())
	}
	if r.Async {
		userData[asyncMode] = "true"
	}
	fields := map[string]any{
		"nickname": r.Nickname, "firstName": r.FirstName, "lastName": r.LastName, "emailAddress": r.Email, "subject": r.Subject,
		"text": "", "userData": userData,
	}
	if d.endpoint != "" {
		fields["endpoint"] = d.endpoint
	}
	data, e := request(op, "requestChat", chat.Session{}, fields)
	if e != nil {
		return nil, e
	}
	c, e := d.begin(ctx, op, chat.Session{}, 1, chat.Position{}, data)
	if e != nil {
		return nil, e
	}
	return c, nil
}

// Resume implements [chat.Resumer]. An answer that does not say whether the chat has ended counts as its end, as it does in
// the reference client (wire-gms A.5).
func (d *Driver) Resume(ctx context.Context, r chat.ResumeRequest) (chat.Conn, error) {
	const op = "resume"
	if r.Session.ID == "" || r.Session.SecureKey.IsZero() {
		return nil, gms.Invalid(op, "a session without chatId and secureKey cannot be resumed")
	}
	c, e := d.resume(ctx, op, r)
	if e != nil {
		return nil, e
	}
	return c, nil
}

func (d *Driver) resume(ctx context.Context, op string, r chat.ResumeRequest) (*conn, *chat.Error) {
	if r.Tail > 0 {
		return d.resumeTail(ctx, op, r)
	}
	next := gms.First(r.From)
	data, e := request(op, "requestNotifications", r.Session, map[string]any{"transcriptPosition": next, "message": ""})
	if e != nil {
		return nil, e
	}
	return d.begin(ctx, op, r.Session, next, r.Known, data)
}

// resumeTail takes up the end of a long-lived chat (wire-gms C.2).
func (d *Driver) resumeTail(ctx context.Context, op string, r chat.ResumeRequest) (*conn, *chat.Error) {
	userData, err := gms.Texts(r.UserData)
	if err != nil {
		return nil, gms.Invalid(op, err.Error())
	}
	userData[asyncMode] = "true"
	last, e := request(op, "refresh", r.Session, map[string]any{"transcriptPosition": -1, "message": ""})
	if e != nil {
		return nil, e
	}
	c, e := d.connect(ctx, op, r.Session, 1, r.Known)
	if e != nil {
		return nil, e
	}
	if e = c.tail(ctx, op, last, r.Known, int64(r.Tail), userData); e != nil {
		d.abandon(c)
		return nil, e
	}
	return c, nil
}

// begin makes a Bayeux session and publishes the first request, whose result is the first delivery (wire-gms B.3).
func (d *Driver) begin(
	ctx context.Context, op string, s chat.Session, next int64, known chat.Position, data []byte,
) (*conn, *chat.Error) {
	c, e := d.connect(ctx, op, s, next, known)
	if e != nil {
		return nil, e
	}
	if e = c.start(ctx, op, data); e != nil {
		d.abandon(c)
		return nil, e
	}
	return c, nil
}

// connect begins to make a Bayeux session.
func (d *Driver) connect(ctx context.Context, op string, s chat.Session, next int64, known chat.Position) (*conn, *chat.Error) {
	if ctx.Err() != nil {
		return nil, canceledError(ctx, op)
	}
	c := newConn(d, s, next, known)
	c.client.Start()
	return c, nil
}

// abandon closes a connection on which no chat was had.
func (d *Driver) abandon(c *conn) {
	if err := c.Close(); err != nil {
		d.log.Debug("closing failed", "error", err)
	}
}

// CloseIdleConnections implements [chat.IdleCloser].
func (d *Driver) CloseIdleConnections() {
	d.wire.CloseIdleConnections()
	if d.files != nil {
		d.files.CloseIdleConnections()
	}
}

var (
	_ chat.Driver     = (*Driver)(nil)
	_ chat.Resumer    = (*Driver)(nil)
	_ chat.IdleCloser = (*Driver)(nil)
)
