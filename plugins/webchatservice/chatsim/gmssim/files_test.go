package gmssim_test

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// wire-gms A.7.11 to A.7.14.
func TestFiles(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		r := v.Upload("Bill 1.PDF", "%PDF-")
		require.Equal(t, http.StatusOK, r.Status, r.Body)
		id := r.UserData["file-id"]
		require.NotEmpty(t, id)
		r = v.Do("refresh", "transcriptPosition", "2")
		require.Len(t, r.Messages, 1)
		assert.Equal(t, "FileUploaded", r.Messages[0].Type)
		assert.Equal(t, map[string]string{"file-id": id, "file-name": "Bill 1.PDF", "file-size": "5"}, r.Messages[0].UserData)

		r = v.Do("file/limits")
		require.Len(t, r.Messages, 1)
		assert.Equal(t, "Notice", r.Messages[0].Type)
		assert.Equal(t, "file-client-cfg-get", r.Messages[0].Text)
		assert.NotContains(t, r.Body, `"index"`)
		assert.Equal(t, "3", r.Messages[0].UserData["upload-max-files"])
		assert.Equal(t, "gif:jpg:pdf:png:txt", r.Messages[0].UserData["upload-file-types"])
		assert.Equal(t, "1", r.Messages[0].UserData["used-upload-max-files"])
		assert.Equal(t, "5", r.Messages[0].UserData["used-upload-max-total-size"])

		r = v.Do("file/" + id + "/download")
		assert.Equal(t, "%PDF-", r.Body)
		assert.Equal(t, "application/octet-stream", r.Header.Get("Content-Type"))
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
		require.NoError(t, err)
		assert.Equal(t, "Bill 1.PDF", params["filename"])

		r = v.Do("file/" + id + "/delete")
		assert.Equal(t, 0, r.StatusCode)
		r = v.Do("refresh", "transcriptPosition", "3")
		assert.Equal(t, "FileDeleted", r.Messages[0].Type)
		assert.Equal(t, http.StatusBadRequest, v.Do("file/"+id+"/download").Status)
		assert.Equal(t, http.StatusBadRequest, v.Do("file/"+id+"/delete").Status)
		assert.Equal(t, "1", v.Do("file/limits").Messages[0].UserData["used-upload-max-files"], "deletion frees nothing")
		files := v.Chat().Snapshot().Files
		require.Len(t, files, 1)
		assert.True(t, files[0].Deleted)
		assert.Equal(t, map[string]string{"file-description": "d"}, files[0].UserData)
	})
}

// wire-gms A.6: the codes of upload, with the limit as advice.
func TestFileLimits(t *testing.T) {
	opts := alone(gmssim.New(&gmssim.Options{
		Files:  gmssim.FileLimits{MaxFiles: 2, MaxFileSize: 10, MaxTotalSize: 15, Types: []string{"txt"}, Downloads: 1},
		Quirks: gmssim.Quirks{DeleteFreesCount: true},
	}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		refused := func(name, data string, code int, advice string) {
			t.Helper()
			r := v.Upload(name, data)
			assert.Equal(t, http.StatusBadRequest, r.Status)
			require.Equal(t, code, r.Code(), r.Body)
			assert.Equal(t, advice, r.Errors[0].Advice)
		}
		refused("a.txt", "12345678901", gmssim.CodeFileSize, "10")
		refused("a.txt.exe", "1", gmssim.CodeFileType, "txt")
		refused("txt", "1", gmssim.CodeFileType, "txt")
		first := v.Upload("a.txt", "1234567890")
		require.Equal(t, http.StatusOK, first.Status)
		refused("b.txt", "123456", gmssim.CodeFileSize, "15")
		require.Equal(t, http.StatusOK, v.Upload("b.txt", "12345").Status)
		refused("c.txt", "", gmssim.CodeTooManyFiles, "2")
		id := first.UserData["file-id"]
		require.Equal(t, http.StatusOK, v.Do("file/"+id+"/download").Status)
		require.Equal(t, http.StatusBadRequest, v.Do("file/"+id+"/download").Status, "one attempt")
		require.Equal(t, http.StatusOK, v.Do("file/"+id+"/delete").Status)
		require.Equal(t, http.StatusOK, v.Upload("c.txt", "123").Status, "there is room again")
		assert.Equal(t, http.StatusRequestEntityTooLarge, v.Upload("d.txt", strings.Repeat("x", 1000)).Status)
		assert.Equal(t, http.StatusBadRequest, v.Do("file").Status, "no file")
	})
}

func TestFileNeedsAgent(t *testing.T) {
	opts := alone(gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{NeedAgent: true}}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		assert.Equal(t, http.StatusBadRequest, v.Upload("a.txt", "1").Status)
		ann, err := v.Chat().Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, v.Upload("a.txt", "1").Status)

		file, err := ann.SendFile("offer.bin", "application/x-offer", []byte("data"))
		require.NoError(t, err)
		r := v.Do("file/" + file.ID + "/download")
		assert.Equal(t, "data", r.Body)
		assert.Equal(t, "application/x-offer", r.Header.Get("Content-Type"))
		assert.Equal(t, http.StatusBadRequest, v.Do("file/"+file.ID+"/delete").Status, "not the visitor's")
		ok, err := ann.DeleteFile(file.ID)
		require.NoError(t, err)
		assert.True(t, ok)
		ok, err = ann.DeleteFile(file.ID)
		require.NoError(t, err)
		assert.False(t, ok)
		r = v.Do("refresh", "transcriptPosition", "3")
		assert.Equal(t, "[FileUploaded Ada FileUploaded Ann FileDeleted Ann]", fmt.Sprint(r.Lines()))
	})
}
