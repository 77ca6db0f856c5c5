package gms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

var (
	errTooMuch   = errors.New("the content is longer than its size says")
	errTooLittle = errors.New("the content is shorter than its size says")
	errOver      = errors.New("the upload is over")
)

// upload makes one request with a file. unread reports that content may still be read, by a Read that
// blocks.
func (w *Wire) upload(
	ctx context.Context, op, address string, fr frame, f chat.Upload, auth chat.Secret,
) (resp *Response, unread bool, e *chat.Error) {
	a := w.attempt(ctx, op, w.fileTimeout)
	defer a.end()
	a.watch()
	length := int64(-1)
	if f.Size >= 0 {
		length = int64(len(fr.head)) + f.Size + int64(len(fr.tail))
	}
	body := &uploadBody{a: a, head: fr.head, tail: fr.tail, file: f}
	r, e := a.do(address, fr.contentType, body, length, auth)
	if e == nil {
		resp, e = a.read(r)
	}
	whole, err, unread := body.finish()
	if e != nil && !whole {
		// The server has not got all of it, and so has no file.
		e.Outcome = chat.NotSent
		if err != nil {
			e.Code, e.Text, e.Hint, e.Err = chat.CodeInvalid, "the file cannot be sent: "+err.Error(), "", err
		}
	}
	return resp, unread, e
}

// uploadBody is the body of an upload. net/http reads it in a goroutine of its own, which may go on
// after the response has come, and which it waits for when the request is given up. So content that
// blocks must not make Read block: it is read in one more goroutine, for as long as it takes.
type uploadBody struct {
	a    *attempt
	file chat.Upload

	// The goroutine that reads has these.
	head, tail []byte
	sent       int64
	drained    bool // all of the content was read
	buffer     []byte

	mu    sync.Mutex    // guards what follows
	busy  chan struct{} // closed at the end of the Read under way
	over  bool
	whole bool // the tail was given out: the server may have all of it
	err   error
	stuck <-chan chunk // a Read of the content that was not waited for
}

// chunk is what a Read of the content brought.
type chunk struct {
	n   int
	err error
}

// Read implements [io.Reader].
func (b *uploadBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return 0, errOver
	}
	busy := make(chan struct{})
	b.busy = busy
	b.mu.Unlock()
	defer close(busy)
	before := b.sent
	n, tail, err := b.next(p)
	b.a.moved()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errOver
	}
	if err != nil && err != io.EOF && b.a.limited.Err() == nil {
		b.err = err
	}
	b.whole = b.whole || tail
	if b.sent > before && b.file.Progress != nil {
		b.file.Progress(b.sent)
	}
	return n, err
}

// next reads on, and reports whether that was from the tail.
func (b *uploadBody) next(p []byte) (n int, tail bool, err error) {
	if len(b.head) > 0 {
		n = copy(p, b.head)
		b.head = b.head[n:]
		return n, false, nil
	}
	if !b.drained && len(p) > 0 {
		if n, err = b.content(p); n > 0 || err != nil || !b.drained {
			return n, false, err
		}
	}
	n = copy(p, b.tail)
	if b.tail = b.tail[n:]; len(b.tail) == 0 {
		err = io.EOF
	}
	return n, true, err
}

// content reads from the content; at its end it sets drained.
func (b *uploadBody) content(p []byte) (int, error) {
	size := b.file.Size
	most := int64(len(p))
	if size >= 0 {
		most = min(most, max(size-b.sent, 1)) // one more, to see that there is no more
	}
	n, err := b.read(p[:most])
	if size >= 0 && b.sent+int64(n) > size {
		return 0, errTooMuch
	}
	b.sent += int64(n)
	if err == io.EOF {
		b.drained, err = true, nil
		if b.sent < size {
			err = errTooLittle
		}
	}
	return n, err
}

// read reads from the content until the attempt ends.
func (b *uploadBody) read(p []byte) (int, error) {
	if b.buffer == nil {
		b.buffer = make([]byte, 32<<10)
	}
	buffer := b.buffer[:min(len(p), len(b.buffer))]
	done := make(chan chunk, 1)
	go func() {
		n, err := b.file.Content.Read(buffer)
		done <- chunk{n, err}
	}()
	select {
	case c := <-done:
		return copy(p, buffer[:c.n]), c.err
	case <-b.a.limited.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck = done
	return 0, context.Cause(b.a.limited)
}

// finish ends the attempt and the reading. It reports whether all of the body was given out, why not if the
// content is to blame, and whether a Read of the content blocks.
func (b *uploadBody) finish() (whole bool, err error, unread bool) {
	b.mu.Lock()
	b.over = true
	busy := b.busy
	b.mu.Unlock()
	b.a.end() // so that a Read under way returns
	if busy != nil {
		<-busy
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuck != nil {
		const grace = 100 * time.Millisecond // more than enough for content that does not block
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-b.stuck:
		case <-timer.C:
			unread = true
		}
	}
	return b.whole, b.err, unread
}

// transfer is a file being received.
type transfer struct {
	info  chat.Download
	a     *attempt
	body  io.Reader
	close func() error
	left  int64 // how much may come; negative: anything
	limit int64
	blame func(*chat.Error) *chat.Error
	end   func()

	closed atomic.Bool // by Close
	once   sync.Once   // for release
	err    error       // what every further Read returns
}

// download makes one request for a file. It returns the file, or an answer in its place.
func (w *Wire) download(
	ctx context.Context, op, address, form string, limit int64, auth chat.Secret,
) (*transfer, *Response, *chat.Error) {
	a := w.attempt(ctx, op, w.fileTimeout)
	a.watch()
	resp, e := a.do(address, formType, strings.NewReader(form), int64(len(form)), auth)
	if e != nil {
		a.end()
		return nil, nil, e
	}
	if resp.StatusCode != http.StatusOK {
		defer a.end()
		r, e := a.read(resp)
		return nil, r, e
	}
	t := &transfer{a: a, body: resp.Body, close: resp.Body.Close, left: limit, limit: limit}
	t.info = chat.Download{Size: resp.ContentLength, Content: t}
	// A type or a name that cannot be read is none.
	t.info.ContentType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		t.info.Name = chat.SafeFileName(params["filename"])
	}
	fail := func(e *chat.Error) (*transfer, *Response, *chat.Error) {
		t.release()
		return nil, nil, e
	}
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return fail(&chat.Error{
			Code: chat.CodeBadAnswer, Op: op, Status: resp.StatusCode,
			Text: "the file is encoded in a way that was not asked for", Hint: "check the gateway in front of the server",
		})
	case limit >= 0 && resp.ContentLength > limit:
		return fail(t.tooLarge())
	case t.info.Name == "" && t.info.ContentType == "application/json":
		// A refusal may come with HTTP 200, too (wire-gms A.7.13).
		const most = 64 << 10
		begin, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
		if err != nil {
			return fail(a.broken(err))
		}
		if said, err := Parse(begin, true); err == nil && len(begin) <= most && (said.StatusCode != StatusOK || len(said.Errors) > 0) {
			t.release()
			r := &Response{Status: resp.StatusCode, Body: begin}
			if !auth.IsZero() {
				r.secrets = credentials(auth)
			}
			return nil, r, nil
		}
		t.body = io.MultiReader(bytes.NewReader(begin), resp.Body)
	}
	a.rest() // that the caller does not read is no stall
	return t, nil, nil
}

// Read implements [io.Reader].
func (t *transfer) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if t.limit >= 0 {
		p = p[:min(int64(len(p)), t.left+1)] // one more, to see that there is more
	}
	t.a.moved()
	n, err := t.body.Read(p)
	t.a.rest()
	switch {
	case t.limit >= 0 && int64(n) > t.left:
		n = int(t.left)
		t.err = t.tooLarge()
	case err == io.EOF:
		t.err = io.EOF
	case err != nil && t.closed.Load():
		t.err = &chat.Error{Code: chat.CodeClosed, Op: t.a.op, Text: "the file was closed"}
	case err != nil:
		t.err = t.blame(t.a.broken(err))
	}
	if t.limit >= 0 {
		t.left -= int64(n)
	}
	if t.err != nil {
		t.release()
	}
	return n, t.err
}

// Close implements [io.Closer].
func (t *transfer) Close() error {
	t.closed.Store(true)
	t.release()
	return nil
}

// release lets go of the connection. What was not read breaks it off.
func (t *transfer) release() {
	t.once.Do(func() {
		t.a.end() // first, so that a Read under way returns
		_ = t.close()
		if t.end != nil {
			t.end()
		}
	})
}

func (t *transfer) tooLarge() *chat.Error {
	return &chat.Error{
		Code: chat.CodeTooLarge, Op: t.a.op, Status: http.StatusOK,
		Text: fmt.Sprintf("the file is longer than %d bytes", t.limit),
	}
}
