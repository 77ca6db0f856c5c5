package chattest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// files returns a connection's ability to carry files and the server's; ok is false for a wire without.
func (r *run) files(conn chat.Conn) (filer chat.Filer, server FileServer, ok bool) {
	r.Helper()
	filer, ok = able[chat.Filer](r, conn, func(c chat.Capabilities) bool { return c.Files })
	if ok {
		server, ok = r.server.(FileServer)
		require.True(r, ok, "the harness has no FileServer")
	}
	return filer, server, ok
}

// text is a file of text to be sent.
func text(name, content string) chat.Upload {
	return chat.Upload{Name: name, ContentType: "text/plain", Size: int64(len(content)), Content: strings.NewReader(content)}
}

func fileSent(r *run) {
	conn := r.open()
	filer, server, ok := r.files(conn)
	if !ok {
		return
	}
	before, _, err := filer.FileLimits(r.ctx())
	require.NoError(r, err)
	assert.Equal(r, int64(1000), before.MaxFileSize)
	assert.Equal(r, []string{"txt"}, before.Types)
	require.NoError(r, before.Check("a.txt", 1000, false))

	content := strings.Repeat("\x00\xff\r\n--żółć", 60)
	var progress []int64
	f := text(`C:\private\Größe "1".txt`, content)
	f.Description = "my bill"
	f.Progress = func(sent int64) { progress = append(progress, sent) }
	receipt, err := filer.SendFile(r.ctx(), f)
	require.NoError(r, err)
	require.NotEmpty(r, receipt.ID)
	require.NotEmpty(r, progress)
	assert.IsIncreasing(r, append([]int64{0}, progress...))
	assert.Equal(r, int64(len(content)), progress[len(progress)-1])

	second := text("b.txt", "x")
	second.Size, second.Content = -1, io.MultiReader(second.Content) // nothing but a Reader
	_, err = filer.SendFile(r.ctx(), second)
	require.NoError(r, err)

	got := server.Files(conn.Session().ID)
	require.Len(r, got, 2)
	assert.Equal(r, File{ID: receipt.ID, Name: `Größe "1".txt`, ContentType: "text/plain", Data: []byte(content), Description: "my bill"}, got[0])
	assert.Equal(r, "x", string(got[1].Data))

	lines := r.lines(conn, func(lines []chat.Message) bool {
		return len(lines) > 0 && lines[len(lines)-1].Kind == chat.KindFileUploaded && lines[len(lines)-1].File.Name == "b.txt"
	})
	for _, l := range lines {
		if l.Kind == chat.KindFileUploaded {
			assert.True(r, l.Own)
			assert.Equal(r, chat.File{ID: receipt.ID, Name: `Größe "1".txt`, Size: int64(len(content))}, *l.File)
			break
		}
	}
	after, _, err := filer.FileLimits(r.ctx())
	require.NoError(r, err)
	assert.Equal(r, before.UsedFiles+2, after.UsedFiles)
	assert.Equal(r, before.UsedTotalSize+int64(len(content))+1, after.UsedTotalSize)
}

// failing is content that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func fileNotSent(r *run) {
	conn := r.open()
	filer, server, ok := r.files(conn)
	if !ok {
		return
	}
	r.server.Refuse("203", "txt")
	_, err := filer.SendFile(r.ctx(), text("a.exe", "x"))
	e := r.outcome(err, chat.Rejected)
	assert.Equal(r, chat.CodeRefused, e.Code)
	assert.Equal(r, []chat.ServerError{{Code: "203", Advice: "txt"}}, e.Errors)

	cause := errors.New("disk is gone")
	for name, f := range map[string]chat.Upload{
		"fails":     {Name: "a.txt", Size: 10, Content: io.MultiReader(strings.NewReader("12345"), failing{cause})},
		"too short": {Name: "a.txt", Size: 10, Content: strings.NewReader("12345")},
		"too long":  {Name: "a.txt", Size: 3, Content: strings.NewReader("12345")},
		"nameless":  {Size: 1, Content: strings.NewReader("1")},
		"empty":     {Name: "a.txt"},
	} {
		_, err = filer.SendFile(r.ctx(), f)
		e = r.outcome(err, chat.NotSent)
		assert.Equal(r, chat.CodeInvalid, e.Code, name)
		assert.Equal(r, name == "fails", errors.Is(err, cause), name)
	}
	r.server.Partition()
	synctest.Wait()
	_, err = filer.SendFile(r.ctx(), text("a.txt", "x"))
	assert.True(r, r.outcome(err, chat.NotSent).Retryable())
	r.server.Heal()
	assert.Empty(r, server.Files(conn.Session().ID))
	r.send(conn, "still here")
	assert.Equal(r, []string{"still here"}, texts(r.lines(conn, said("still here"))))
}

func fileReceived(r *run) {
	conn := r.open()
	filer, server, ok := r.files(conn)
	if !ok {
		return
	}
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	fileID := server.AgentFile(id, "Ann", "../offer\u202e.txt", "text/plain", data)
	lines := r.lines(conn, saw(chat.KindFileUploaded, chat.RoleAgent))
	line := lines[len(lines)-1]
	require.NotNil(r, line.File)
	assert.Equal(r, fileID, line.File.ID)
	assert.Equal(r, int64(len(data)), line.File.Size)

	d, err := filer.ReceiveFile(r.ctx(), fileID, int64(len(data)))
	require.NoError(r, err)
	got, err := io.ReadAll(d.Content)
	require.NoError(r, err)
	assert.True(r, bytes.Equal(data, got))
	require.NoError(r, d.Content.Close())
	assert.Equal(r, "offer.txt", d.Name)
	assert.Equal(r, "text/plain", d.ContentType)
	assert.Contains(r, []int64{-1, int64(len(data))}, d.Size)

	d, err = filer.ReceiveFile(r.ctx(), fileID, 100)
	if err == nil {
		got, err = io.ReadAll(d.Content)
		assert.Len(r, got, 100)
		require.NoError(r, d.Content.Close())
	}
	var e *chat.Error
	require.ErrorAs(r, err, &e)
	assert.Equal(r, chat.CodeTooLarge, e.Code)

	// What is not read to the end costs nothing but a Close.
	d, err = filer.ReceiveFile(r.ctx(), fileID, -1)
	require.NoError(r, err)
	_, err = io.ReadFull(d.Content, make([]byte, 10))
	require.NoError(r, err)
	require.NoError(r, d.Content.Close())
	require.NoError(r, d.Content.Close())
	_, err = io.Copy(io.Discard, d.Content)
	require.ErrorIs(r, err, chat.ErrClosed)

	for _, unknown := range []string{"0000", "../" + fileID, "a/b?c#d"} {
		_, err = filer.ReceiveFile(r.ctx(), unknown, 0)
		require.ErrorAs(r, err, &e, unknown)
		assert.NotEqual(r, chat.Gone, e.Outcome)
	}
	for _, none := range []string{"", ".", ".."} {
		_, err = filer.ReceiveFile(r.ctx(), none, 0)
		assert.Equal(r, chat.CodeInvalid, r.outcome(err, chat.NotSent).Code)
	}
	r.send(conn, "thanks")
}

func fileDeleted(r *run) {
	conn := r.open()
	filer, server, ok := r.files(conn)
	if !ok {
		return
	}
	receipt, err := filer.SendFile(r.ctx(), text("a.txt", "x"))
	require.NoError(r, err)
	_, err = filer.DeleteFile(r.ctx(), receipt.ID)
	require.NoError(r, err)
	assert.Empty(r, server.Files(conn.Session().ID))
	lines := r.lines(conn, saw(chat.KindFileDeleted, chat.RoleClient))
	last := lines[len(lines)-1]
	require.NotNil(r, last.File)
	assert.Equal(r, receipt.ID, last.File.ID)
	_, err = filer.DeleteFile(r.ctx(), receipt.ID)
	r.outcome(err, chat.Rejected)
}

func filesBesideLines(r *run) {
	conn := r.open()
	filer, server, ok := r.files(conn)
	if !ok {
		return
	}
	var wg sync.WaitGroup
	begin := func(ctx context.Context, err *error) (end func()) {
		content, more := io.Pipe()
		wg.Go(func() { _, *err = filer.SendFile(ctx, chat.Upload{Name: "a.txt", Size: 10, Content: content}) })
		_, werr := more.Write([]byte("12345"))
		require.NoError(r, werr)
		synctest.Wait()
		return func() { _ = more.Close() }
	}
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	var first, second error
	end := begin(ctx, &first)
	start := time.Now()
	r.send(conn, "meanwhile")
	_, err := filer.SendFile(r.ctx(), text("b.txt", "b"))
	require.NoError(r, err)
	assert.Zero(r, time.Since(start))
	assert.Equal(r, []string{"meanwhile"}, texts(r.lines(conn, said("meanwhile"))))
	cancel()
	wg.Wait()
	end()
	r.outcome(first, chat.NotSent)
	require.ErrorIs(r, first, context.Canceled)

	end = begin(r.ctx(), &second)
	require.NoError(r, conn.Close())
	wg.Wait()
	end()
	require.ErrorIs(r, second, chat.ErrClosed)
	assert.Less(r, time.Since(start), time.Second)
	synctest.Wait()
	got := server.Files(conn.Session().ID)
	require.Len(r, got, 1)
	assert.Equal(r, "b.txt", got[0].Name)
	_, _, err = filer.FileLimits(r.ctx())
	require.ErrorIs(r, err, chat.ErrClosed)
	_, err = filer.ReceiveFile(r.ctx(), got[0].ID, 0)
	require.ErrorIs(r, err, chat.ErrClosed)
}
