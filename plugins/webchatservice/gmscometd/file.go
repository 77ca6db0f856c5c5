package gmscometd

import (
	"context"
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// The configuration says where files go (wire-gms B.4); without that there are none. Only answers come from there. The lines
// about files are pushed like all others.

// form is what a request about files carries.
func form(operation string, s chat.Session) url.Values {
	return url.Values{
		"operation": {operation}, "chatId": {s.ID}, "secureKey": {s.SecureKey.Reveal()}, "userId": {s.UserID}, "alias": {s.Alias},
	}
}

// known returns the session, if requests about files can be made.
func (c *conn) known(ctx context.Context, op string) (chat.Session, *chat.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.files == nil:
		return chat.Session{}, chat.Unsupported(op)
	case c.life.Err() != nil:
		return chat.Session{}, closedError(op)
	case ctx.Err() != nil:
		return chat.Session{}, canceledError(ctx, op)
	case c.transcript.Over:
		return chat.Session{}, overError(op)
	}
	return c.transcript.Session, nil
}

// bound returns a context that ends with the connection, too, and what frees it.
func (c *conn) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(c.life, cancel)
	return ctx, func() {
		unhook()
		cancel()
	}
}

// blame makes a failure after Close one of the closed connection.
func (c *conn) blame(e *chat.Error) *chat.Error {
	if e != nil && c.life.Err() != nil {
		e.Code, e.Text, e.Hint = chat.CodeClosed, closeError(e.Op).Text, ""
	}
	return e
}

// answered reads the response to a request about files, or its failure. If the response tells an end, the chat has ended.
func (c *conn) answered(op string, s chat.Session, r *gms.Response, e *chat.Error) (gms.Answer, *chat.Error) {
	if e != nil {
		return gms.Answer{}, c.blame(e)
	}
	a, e := c.files.Judge(op, r, s.SecureKey)
	if e != nil && (e.Outcome == chat.Gone || a.Ended && a.StatusCode != gms.StatusRetry) {
		e.Outcome, e.Code = chat.Gone, chat.CodeEnded
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inOrderLocked(delivery{answer: gms.Answer{Ended: true, StatusCode: a.StatusCode, Errors: a.Errors}}, false)
	}
	return a, e
}

// ask makes a request about files that carries none.
func (c *conn) ask(ctx context.Context, op, operation, id string) (gms.Answer, *chat.Error) {
	s, e := c.known(ctx, op)
	if e != nil {
		return gms.Answer{}, e
	}
	ctx, end := c.bound(ctx)
	defer end()
	values := form(operation, s)
	if id != "" {
		values.Set("fileId", id)
	}
	r, e := c.files.Post(ctx, op, c.files.Address, values)
	return c.answered(op, s, r, e)
}

// FileLimits implements [chat.Filer].
func (c *conn) FileLimits(ctx context.Context) (chat.FileLimits, chat.Receipt, error) {
	const op = "file limits"
	a, e := c.ask(ctx, op, "fileGetLimits", "")
	if e != nil {
		return chat.FileLimits{}, chat.Receipt{}, e
	}
	limits := gms.TakeLimits(&a)
	if limits == nil {
		return chat.FileLimits{}, chat.Receipt{}, gms.NoLimits(op, a)
	}
	return *limits, chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

// SendFile implements [chat.Filer].
func (c *conn) SendFile(ctx context.Context, f chat.Upload) (chat.Receipt, error) {
	const op = "upload"
	s, e := c.known(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	ctx, end := c.bound(ctx)
	defer end()
	r, e := c.files.Upload(ctx, op, c.files.Address, form("fileUpload", s), f)
	a, e := c.answered(op, s, r, e)
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, ID: gms.FileID(a), Answer: a.Raw}, nil
}

// ReceiveFile implements [chat.Filer].
func (c *conn) ReceiveFile(ctx context.Context, id string, limit int64) (chat.Download, error) {
	const op = "download"
	if e := gms.CheckFileID(op, id); e != nil {
		return chat.Download{}, e
	}
	s, e := c.known(ctx, op)
	if e != nil {
		return chat.Download{}, e
	}
	ctx, end := c.bound(ctx)
	values := form("fileDownload", s)
	values.Set("fileId", id)
	file, r, e := c.files.Download(ctx, op, c.files.Address, values, limit, c.blame, end)
	if file != nil {
		return *file, nil
	}
	end()
	if _, e = c.answered(op, s, r, e); e == nil {
		e = gms.NoFile(op, r)
	}
	return chat.Download{}, e
}

// DeleteFile implements [chat.Filer].
func (c *conn) DeleteFile(ctx context.Context, id string) (chat.Receipt, error) {
	const op = "delete file"
	if e := gms.CheckFileID(op, id); e != nil {
		return chat.Receipt{}, e
	}
	a, e := c.ask(ctx, op, "fileDelete", id)
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

var _ chat.Filer = (*conn)(nil)
