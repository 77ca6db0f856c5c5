package webchatservice_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

func TestSendFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bill.txt")
	require.NoError(t, os.WriteFile(path, []byte("from a path"), 0o600))
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{MaxFiles: 3, MaxFileSize: 200 << 10}})}})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		_, err := call(r, webchatservice.GetFileLimits, struct{}{})
		assert.ErrorIs(t, err, webchatservice.ErrNoSession)
		r.begin()

		limits, err := call(r, webchatservice.GetFileLimits, struct{}{})
		require.NoError(t, err)
		assert.Equal(t, "3", limits.UserData["upload-max-files"])
		assert.Equal(t, int64(200<<10), limits.Limits.MaxFileSize)

		content := strings.Repeat("0123456789", 10<<10)
		f := start(r, t.Context(), webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{
			Name: "numbers.txt", Type: "text/plain", Content: strings.NewReader(content), Size: int64(len(content)),
		}})
		var last webchatservice.FileProgress
		for p := range f.Progress(t.Context()) {
			last = p.(webchatservice.FileProgress)
		}
		out, err := f.Result(t.Context())
		require.NoError(t, err)
		assert.NotEmpty(t, out.FileID)
		assert.Equal(t, webchatservice.FileProgress{Sent: int64(len(content)), Size: int64(len(content))}, last)
		_, err = call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Path: path}})
		require.NoError(t, err)
		_, err = r.app.Call(t.Context(), "WebChatService.sendFile", json.RawMessage(`{"files":{"name":"hi.txt","data":"aGk="}}`))
		require.NoError(t, err)
		time.Sleep(5 * time.Second)

		files := sim.Chats()[0].Files
		require.Len(t, files, 3)
		assert.Equal(t, []byte(content), files[0].Data)
		assert.Equal(t, "bill.txt", files[1].Name)
		assert.Equal(t, []byte("hi"), files[2].Data)
		uploaded := 0
		for _, e := range r.take() {
			if d, ok := e.Data.(webchatservice.MessageReceivedData); ok {
				for _, m := range d.Messages {
					if m.Type == chat.KindFileUploaded {
						uploaded++
						assert.NotEmpty(t, m.FileDetails["file-id"])
					}
				}
			}
		}
		assert.Equal(t, 3, uploaded)

		_, err = call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("x")}})
		assert.ErrorIs(t, err, webchatservice.ErrFileRefused)
		d := payload[webchatservice.ErrorData](t, r.take(), "error")
		assert.Equal(t, "a.txt", d.Filename)
		assert.Equal(t, "201", d.Errors[0].Code)
		for _, bad := range []webchatservice.FileIn{{}, {Data: []byte("no name")}, {Path: dir}, {Path: filepath.Join(dir, "none")}, {Name: "x", Data: make([]byte, 5<<20)}} {
			_, err = call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: bad})
			assert.ErrorIs(t, err, webchatservice.ErrFile)
		}
	})
}

func TestDownloadFile(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		file, err := ann.SendFile("../../evil.txt", "text/plain", []byte("content"))
		require.NoError(t, err)

		get := func(in webchatservice.DownloadFileIn) (webchatservice.DownloadFileOut, error) {
			in.FileID = file.ID
			return call(r, webchatservice.DownloadFile, in)
		}
		out, err := get(webchatservice.DownloadFileIn{})
		require.NoError(t, err)
		assert.Equal(t, []byte("content"), out.Data)
		var b bytes.Buffer
		out, err = get(webchatservice.DownloadFileIn{Writer: &b})
		require.NoError(t, err)
		assert.Equal(t, "content", b.String())
		assert.Equal(t, int64(7), out.Size)
		out, err = get(webchatservice.DownloadFileIn{Path: dir})
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "evil.txt"), out.Path)
		_, err = get(webchatservice.DownloadFileIn{Path: dir})
		assert.ErrorIs(t, err, webchatservice.ErrFile, "nothing is overwritten")
		_, err = get(webchatservice.DownloadFileIn{Path: dir, FileName: "small.txt", MaxSize: 3})
		assert.ErrorIs(t, err, webchatservice.ErrRequest)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, left, 1, "of a download that failed nothing is left")
		_, err = call(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: "none"})
		assert.ErrorIs(t, err, webchatservice.ErrRequest)
	})
}

// stuck is a file that never ends.
type stuck struct{ stop chan struct{} }

func (s stuck) Read([]byte) (int, error) {
	<-s.stop
	return 0, io.ErrUnexpectedEOF
}

func TestSendFileIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		s := stuck{make(chan struct{})}
		f := start(r, t.Context(), webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Content: s}})
		time.Sleep(time.Second)
		require.NoError(t, end(r))
		close(s.stop)
		_, err := f.Result(t.Context())
		require.Error(t, err, "the end of the chat ends it")
		assert.Falsef(t, errors.Is(err, webchatservice.ErrFile), "%v", err)
	})
}

// asked returns how often the server was asked to do op.
func asked(sim *chatsim.Server, op string) (n int) {
	for _, q := range sim.Requests() {
		if q.Op == op {
			n++
		}
	}
	return n
}

// What the server would not take is not sent to it, and refused with the server's codes.
func TestFileLimitsAreCheckedBeforeSending(t *testing.T) {
	limits := gmssim.FileLimits{MaxFiles: 2, MaxFileSize: 1000, MaxTotalSize: 1500, Types: []string{"txt", "pdf"}}
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: limits})}})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		try := func(f webchatservice.FileIn) error {
			_, err := call(r, webchatservice.SendFile, webchatservice.SendFileIn{Files: f})
			return err
		}
		for name, tt := range map[string]struct {
			file webchatservice.FileIn
			code string
		}{
			"too large":  {webchatservice.FileIn{Name: "a.txt", Content: strings.NewReader(strings.Repeat("x", 1001)), Size: 1001}, "202"},
			"wrong type": {webchatservice.FileIn{Name: "a.exe", Data: []byte("x")}, "203"},
			"no type":    {webchatservice.FileIn{Name: "txt", Data: []byte("x")}, "203"},
		} {
			err := try(tt.file)
			require.ErrorIs(t, err, webchatservice.ErrFileRefused, name)
			d := payload[webchatservice.ErrorData](t, r.take(), "error")
			assert.Equal(t, tt.code, d.Errors[0].Code, name)
			assert.NotEmpty(t, d.Errors[0].Advice, name)
			assert.Equal(t, tt.file.Name, d.Filename)
		}
		assert.Zero(t, asked(sim, "file"), "nothing was sent")

		// Of a size that nobody knew before, no more than the limit leaves; the server gets half a request, which is none.
		sent := &counted{Reader: strings.NewReader(strings.Repeat("x", 10<<20))}
		err := try(webchatservice.FileIn{Name: "a.txt", Content: sent})
		require.ErrorIs(t, err, webchatservice.ErrFileRefused)
		assert.Equal(t, "202", payload[webchatservice.ErrorData](t, r.take(), "error").Errors[0].Code)
		assert.Less(t, sent.n, 1<<20)
		assert.Empty(t, sim.Chats()[0].Files)

		require.NoError(t, try(webchatservice.FileIn{Name: "a.txt", Data: make([]byte, 1000)}))
		require.ErrorIs(t, try(webchatservice.FileIn{Name: "a.txt", Data: make([]byte, 600)}), webchatservice.ErrFileRefused, "in all")
		require.NoError(t, try(webchatservice.FileIn{Name: "b.pdf", Content: strings.NewReader("of no known size")}))
		r.take()
		require.ErrorIs(t, try(webchatservice.FileIn{Name: "c.txt", Data: []byte("x")}), webchatservice.ErrFileRefused)
		assert.Equal(t, "201", payload[webchatservice.ErrorData](t, r.take(), "error").Errors[0].Code)
		assert.Len(t, sim.Chats()[0].Files, 2)
	})
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{NeedAgent: true}})}})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		one := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("x")}}
		_, err := call(r, webchatservice.SendFile, one)
		require.ErrorIs(t, err, webchatservice.ErrFileRefused)
		assert.Zero(t, asked(sim, "file"))
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		_, err = c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		_, err = call(r, webchatservice.SendFile, one)
		require.NoError(t, err)
	})
}

// counted counts what is read of it.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// slowly gives a byte each second.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(p[:1])
}

// The context of the call ends an upload and a download, and nothing of them is left.
func TestTransfersAreCancelled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		ctx, cancel := context.WithCancel(t.Context())
		f := start(r, ctx, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{
			Name: "a.txt", Content: slowly{strings.NewReader(strings.Repeat("x", 1000))}, Size: 1000,
		}})
		time.Sleep(10 * time.Second)
		begun := time.Now()
		cancel()
		_, err := f.Result(t.Context())
		require.Error(t, err)
		assert.Less(t, time.Since(begun), time.Second)
		time.Sleep(time.Minute)
		assert.Empty(t, sim.Chats()[0].Files)
		assert.NotContains(t, r.told(), "error", "it was asked for")

		sim.Faults().Add(chatsim.Fault{Op: "file/download", Status: 200, Body: bytes.Repeat([]byte("x"), 1000), Slow: time.Hour})
		ctx, cancel = context.WithCancel(t.Context())
		g := start(r, ctx, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: "id", Path: dir, FileName: "half.txt"})
		time.Sleep(10 * time.Second)
		cancel()
		_, err = g.Result(t.Context())
		require.Error(t, err)
		synctest.Wait()
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
		require.NoError(t, send(r, "the chat goes on"))
	})
}

// A small answer that becomes a large file is cut off where the limit is, in each form of a download.
func TestDownloadBomb(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	require.NoError(t, err)
	_, err = io.Copy(w, io.LimitReader(zeros{}, 100<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Less(t, bomb.Len(), 1<<20)
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
		defer sim.Close()
		r := newRig(t, onSim(sim))
		defer r.stop()
		r.begin()
		sim.Faults().Add(chatsim.Fault{
			Op: "file/download", Status: 200, Body: bomb.Bytes(), Header: http.Header{"Content-Encoding": {"gzip"}}, Times: -1,
		})
		var to counter
		for name, in := range map[string]webchatservice.DownloadFileIn{
			"result":  {},
			"writer":  {Writer: &to, MaxSize: 1 << 20},
			"path":    {Path: dir, FileName: "bomb"},
			"default": {Writer: &to},
		} {
			in.FileID = "id"
			_, err := call(r, webchatservice.DownloadFile, in)
			require.ErrorIs(t, err, webchatservice.ErrRequest, name)
			assert.ErrorContains(t, err, "longer than", name)
		}
		assert.Equal(t, int64(1<<20+64<<20), int64(to))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// zeros is content without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
