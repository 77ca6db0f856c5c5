package gmsrest

import (
	"context"
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// FileLimits implements [chat.Filer].
func (c *conn) FileLimits(ctx context.Context) (chat.FileLimits, chat.Receipt, error) {
	const op = "file limits"
	var limits *chat.FileLimits
	a, e := c.exchange(ctx, op, "file/limits", nil, func(a *gms.Answer) { limits = gms.TakeLimits(a) })
	switch {
	case e != nil:
		return chat.FileLimits{}, chat.Receipt{}, e
	case limits == nil:
		return chat.FileLimits{}, chat.Receipt{}, gms.NoLimits(op, a)
	}
	return *limits, chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

// DeleteFile implements [chat.Filer].
func (c *conn) DeleteFile(ctx context.Context, id string) (chat.Receipt, error) {
	const op = "delete file"
	if e := gms.CheckFileID(op, id); e != nil {
		return chat.Receipt{}, e
	}
	a, e := c.exchange(ctx, op, filePath(id, "delete"), nil, nil)
	if e != nil {
		return chat.Receipt{}, e
	}
	return chat.Receipt{Confirmed: true, Answer: a.Raw}, nil
}

func filePath(id, operation string) string { return "file/" + url.PathEscape(id) + "/" + operation }

// SendFile implements [chat.Filer].
func (c *conn) SendFile(ctx context.Context, f chat.Upload) (chat.Receipt, error) {
	const op = "upload"
	session, e := c.ready(ctx, op)
	if e != nil {
		return chat.Receipt{}, e
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	resp, e := c.d.wire.Upload(ctx, op, c.d.wire.path(session.ID, "file"), keys(session), f)
	a, e := c.answered(op, "file", session, resp, c.blame(e), nil)
	c.mu.Lock()
	c.pace.reset() // the line about it is on its way
	c.signal()
	c.mu.Unlock()
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
	session, e := c.ready(ctx, op)
	if e != nil {
		return chat.Download{}, e
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(c.life, cancel)
	end := func() {
		unhook()
		cancel()
	}
	address := c.d.wire.path(session.ID, filePath(id, "download"))
	file, resp, e := c.d.wire.Download(ctx, op, address, keys(session), limit, c.blame, end)
	if file != nil {
		return *file, nil
	}
	end()
	if _, e = c.answered(op, "file/download", session, resp, c.blame(e), nil); e == nil {
		e = gms.NoFile(op, resp)
	}
	return chat.Download{}, e
}

var _ chat.Filer = (*conn)(nil)
