package chattest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The limits of [FileServer].
const (
	memoryMaxFiles    = 3
	memoryMaxFileSize = 1000
)

// memoryFile is a file of a chat; Memory.mu guards it.
type memoryFile struct {
	File
	visitor bool
	deleted bool
}

func (c *memoryChat) fileLocked(id string) *memoryFile {
	for _, f := range c.files {
		if f.ID == id && !f.deleted {
			return f
		}
	}
	return nil
}

// storeLocked keeps a file and tells everybody.
func (m *Memory) storeLocked(c *memoryChat, f memoryFile, from chat.Party) string {
	f.ID = fmt.Sprintf("file-%d", len(c.files)+1)
	c.files = append(c.files, &f)
	m.fileLineLocked(c, chat.KindFileUploaded, &f, from)
	return f.ID
}

func (m *Memory) fileLineLocked(c *memoryChat, kind chat.MessageKind, f *memoryFile, from chat.Party) {
	m.appendLocked(c, chat.Message{
		Kind: kind, From: from, Own: from.Role == chat.RoleClient, File: &chat.File{ID: f.ID, Name: f.Name, Size: int64(len(f.Data))},
		UserData: map[string]any{"file-id": f.ID, "file-name": f.Name, "file-size": strconv.Itoa(len(f.Data))},
	})
}

// AgentFile implements [FileServer]. The data is kept, not copied.
func (m *Memory) AgentFile(chatID, name, fileName, contentType string, data []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.chats[chatID]
	if !ok || c.ended {
		return ""
	}
	return m.storeLocked(c, memoryFile{File: File{Name: fileName, ContentType: contentType, Data: data}}, c.partyLocked(name, chat.RoleAgent))
}

// Files implements [FileServer].
func (m *Memory) Files(chatID string) []File {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []File
	if c, ok := m.chats[chatID]; ok {
		for _, f := range c.files {
			if f.visitor && !f.deleted {
				all = append(all, f.File)
			}
		}
	}
	return all
}

// Read implements [ReadServer].
func (m *Memory) Read(chatID string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.chats[chatID]; ok {
		return c.read
	}
	return 0
}

// fileRequest makes one request that does not take its turn.
func (k *memoryConn) fileRequest(ctx context.Context, op string, do func() *chat.ServerError) (chat.Receipt, error) {
	switch {
	case k.life.Err() != nil:
		return chat.Receipt{}, closedError(op)
	case !k.Capabilities().Files:
		return chat.Receipt{}, chat.Unsupported(op)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.life, cancel)()
	var refused *chat.ServerError
	receipt, err := k.m.request(ctx, k.c, op, func() { refused = do() })
	switch {
	case err != nil && k.life.Err() != nil:
		return receipt, &chat.Error{Outcome: chat.OutcomeOf(err), Code: chat.CodeClosed, Op: op, Text: "connection was closed", Err: err}
	case err == nil && refused != nil:
		err = &chat.Error{
			Outcome: chat.Rejected, Code: chat.CodeRefused, Op: op,
			Text: "server refused: code " + refused.Code, Errors: []chat.ServerError{*refused},
		}
	}
	return receipt, err
}

// FileLimits implements [chat.Filer].
func (k *memoryConn) FileLimits(ctx context.Context) (chat.FileLimits, chat.Receipt, error) {
	limits := chat.FileLimits{
		MaxFiles: memoryMaxFiles, MaxFileSize: memoryMaxFileSize, MaxTotalSize: -1, DownloadAttempts: -1, Types: []string{"txt"},
		UsedDownloads: -1,
	}
	receipt, err := k.fileRequest(ctx, "file limits", func() *chat.ServerError {
		files, total := k.c.usedLocked()
		limits.UsedFiles, limits.UsedTotalSize = int64(files), int64(total)
		return nil
	})
	if err != nil {
		return chat.FileLimits{}, receipt, err
	}
	return limits, receipt, nil
}

// usedLocked is what the visitor has used of the limits.
func (c *memoryChat) usedLocked() (files, total int) {
	for _, f := range c.files {
		if f.visitor {
			files++
			total += len(f.Data)
		}
	}
	return files, total
}

// SendFile implements [chat.Filer].
func (k *memoryConn) SendFile(ctx context.Context, f chat.Upload) (chat.Receipt, error) {
	const op = "upload"
	invalid := func(text string, err error) (chat.Receipt, error) {
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: text, Err: err}
	}
	name := f.Name[strings.LastIndexAny(f.Name, `/\`)+1:]
	if name == "" || f.Content == nil {
		return invalid("a file needs a name and content", nil)
	}
	var data bytes.Buffer
	read := make(chan error, 1)
	go func() { // content that blocks may outlast the call
		_, err := io.Copy(&data, io.LimitReader(f.Content, 10*memoryMaxFileSize))
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			return invalid("the content cannot be read", err)
		}
	case <-ctx.Done():
		return chat.Receipt{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeCanceled, Op: op, Text: "given up before it was sent", Err: ctx.Err()}
	case <-k.life.Done():
		return chat.Receipt{}, closedError(op)
	}
	if f.Size >= 0 && f.Size != int64(data.Len()) {
		return invalid("the content is not as long as it says", nil)
	}
	id := ""
	receipt, err := k.fileRequest(ctx, op, func() *chat.ServerError {
		used, _ := k.c.usedLocked()
		switch {
		case used >= memoryMaxFiles:
			return &chat.ServerError{Code: "201", Advice: strconv.Itoa(memoryMaxFiles)}
		case data.Len() > memoryMaxFileSize:
			return &chat.ServerError{Code: "202", Advice: strconv.Itoa(memoryMaxFileSize)}
		case path.Ext(name) != ".txt":
			return &chat.ServerError{Code: "203", Advice: "txt"}
		}
		id = k.m.storeLocked(k.c, memoryFile{visitor: true, File: File{
			Name: name, ContentType: f.ContentType, Data: data.Bytes(), Description: f.Description,
		}}, k.ownLocked())
		return nil
	})
	if err != nil {
		return chat.Receipt{}, err
	}
	if f.Progress != nil {
		f.Progress(int64(data.Len()))
	}
	receipt.ID = id
	return receipt, nil
}

// ReceiveFile implements [chat.Filer].
func (k *memoryConn) ReceiveFile(ctx context.Context, id string, limit int64) (chat.Download, error) {
	const op = "download"
	if id == "" || id == "." || id == ".." {
		return chat.Download{}, &chat.Error{Outcome: chat.NotSent, Code: chat.CodeInvalid, Op: op, Text: "the file id is empty, or none"}
	}
	var f *memoryFile
	_, err := k.fileRequest(ctx, op, func() *chat.ServerError {
		if f = k.c.fileLocked(id); f == nil {
			return &chat.ServerError{Advice: "no such file"}
		}
		return nil
	})
	if err != nil {
		return chat.Download{}, err
	}
	size := int64(len(f.Data))
	if limit == 0 {
		limit = chat.DefaultMaxDownload
	}
	if limit > 0 && size > limit {
		return chat.Download{}, &chat.Error{Code: chat.CodeTooLarge, Op: op, Text: fmt.Sprintf("the file is longer than %d bytes", limit)}
	}
	return chat.Download{
		Name: chat.SafeFileName(f.Name), ContentType: f.ContentType, Size: size,
		Content: &memoryContent{k: k, ctx: ctx, data: bytes.NewReader(f.Data)},
	}, nil
}

// memoryContent is a file being read.
type memoryContent struct {
	k      *memoryConn
	ctx    context.Context // rules the reading, as ReceiveFile says
	data   *bytes.Reader
	closed bool
}

// Read implements [io.Reader].
func (c *memoryContent) Read(p []byte) (int, error) {
	switch {
	case c.closed || c.k.life.Err() != nil:
		return 0, closedError("download")
	case c.ctx.Err() != nil:
		return 0, &chat.Error{Code: chat.CodeCanceled, Op: "download", Text: "given up", Err: c.ctx.Err()}
	}
	return c.data.Read(p)
}

// Close implements [io.Closer].
func (c *memoryContent) Close() error {
	c.closed = true
	return nil
}

// DeleteFile implements [chat.Filer].
func (k *memoryConn) DeleteFile(ctx context.Context, id string) (chat.Receipt, error) {
	return k.fileRequest(ctx, "delete file", func() *chat.ServerError {
		f := k.c.fileLocked(id)
		if f == nil || !f.visitor {
			return &chat.ServerError{Advice: "no such file of yours"}
		}
		f.deleted = true
		k.m.fileLineLocked(k.c, chat.KindFileDeleted, f, k.ownLocked())
		return nil
	})
}
