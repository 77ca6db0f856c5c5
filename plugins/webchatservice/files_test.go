package webchatservice_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
)

func TestSendFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bill.txt")
	require.NoError(t, os.WriteFile(path, []byte("from a path"), 0o600))
	synctest.Test(t, func(t *testing.T) {
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody, Files: chatsim.FileLimits{MaxFiles: 3, MaxFileSize: 200 << 10}})
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
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
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
		sim := chatsim.New(&chatsim.Options{Script: chatsim.Nobody})
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
