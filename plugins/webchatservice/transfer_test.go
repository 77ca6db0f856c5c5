package webchatservice_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

func TestSendFileStreamsAndIsCancelledByItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sim := simRig(t, nil)
		content, feed := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		f := start(r, ctx, webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "long.txt", Content: content}})
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			for range 4 {
				if _, err := feed.Write(bytes.Repeat([]byte("x"), 256<<10)); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Second)
		var last webchatservice.FileProgress
		for p := range f.Progress(t.Context()) {
			last = p.(webchatservice.FileProgress)
			if last.Sent >= 1<<20-64<<10 { // what was read is on its way before the end of the file is known
				break
			}
		}
		assert.Equal(t, int64(-1), last.Size)
		cancel()
		_, err := f.Result(t.Context())
		require.Error(t, err)
		_ = feed.CloseWithError(context.Canceled)
		<-fed
		time.Sleep(5 * time.Second)
		assert.Empty(t, sim.Chats()[0].Files)
		assert.NotContains(t, r.told(), "error", "the caller knows")
		require.NoError(t, send(r, "the chat goes on"))
	})
}

func TestDownloadIsCancelledByItsCaller(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, sim := simRig(t, nil)
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		file, err := ann.SendFile("bill.txt", "text/plain", bytes.Repeat([]byte("x"), 1<<20))
		require.NoError(t, err)
		sim.Faults().Add(chatsim.Fault{Op: "file/download", DelayAnswer: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = start(r, ctx, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: file.ID, Path: dir}).Result(t.Context())
		require.Error(t, err)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

func TestFilesInJSONAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := memoryRig(t)
		r.begin()
		file := m.AgentFile(id, "Ann", "long.txt", "text/plain", make([]byte, 5<<20))
		for _, limit := range []int64{0, 1 << 30} {
			_, err := call(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: file, MaxSize: limit})
			assert.ErrorIs(t, err, webchatservice.ErrRequest, "limit %d", limit)
		}
		out, err := call(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: file, Writer: io.Discard})
		require.NoError(t, err)
		assert.Equal(t, int64(5<<20), out.Size)
		assert.ErrorIs(t, r.by("sendFile", `{"files": {"name": "a.txt", "path": "/etc/passwd"}}`), bus.ErrWrongType, "paths are for Go")
		assert.ErrorIs(t, r.by("downloadFile", `{"fileId": "`+file+`", "path": "/tmp"}`), bus.ErrWrongType)
	})
}
