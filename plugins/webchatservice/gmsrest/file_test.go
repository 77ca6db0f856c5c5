package gmsrest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// zeros is content without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func zip(t *testing.T, content io.Reader) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.Copy(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// What a download may be answered with in the place of a plain file.
func TestDownloadAnswers(t *testing.T) {
	jsonType := "application/json; charset=UTF-8"
	refusal := `{"statusCode":2,"chatEnded":false,"errors":[{"code":42,"advice":"no attempts left"}]}`
	for name, c := range map[string]struct {
		fault   chatsim.Fault
		limit   int64
		want    string // content
		name    string
		outcome chat.Outcome
		code    string // of the error, "" for none
		text    string // in the error
	}{
		"refusal with 200":       {fault: body(200, refusal, "Content-Type", jsonType), outcome: chat.Rejected, code: chat.CodeRefused, text: "code 42"},
		"refusal with 400":       {fault: body(400, refusal, "Content-Type", jsonType), outcome: chat.Rejected, code: chat.CodeRefused, text: "no attempts left"},
		"offline":                {fault: body(200, `{"statusCode":1}`, "Content-Type", jsonType), outcome: chat.Rejected, code: chat.CodeUnavailable},
		"answer without a file":  {fault: body(200, `{"statusCode":0,"errors":[{"code":1}]}`, "Content-Type", jsonType), code: chat.CodeBadAnswer},
		"a file of JSON":         {fault: body(200, `{"statusCode":0}`, "Content-Type", jsonType), want: `{"statusCode":0}`},
		"JSON that is no answer": {fault: body(200, `[1,2`, "Content-Type", jsonType), want: `[1,2`},
		"a named file of JSON":   {fault: body(200, refusal, "Content-Type", jsonType, "Content-Disposition", `attachment; filename="a.json"`), want: refusal, name: "a.json"},
		"nothing":                {fault: body(200, ""), want: ""},
		"odd name":               {fault: body(200, "x", "Content-Disposition", `attachment; filename*=UTF-8''..%2F%E2%80%AE%C5%BC.txt`), want: "x", name: "ż.txt"},
		"unreadable name":        {fault: body(200, "x", "Content-Disposition", `attachment; filename="a`), want: "x"},
		"gone":                   {fault: body(404, ""), outcome: chat.Rejected, code: chat.CodeNotFound},
		"login page":             {fault: body(302, "", "Location", "https://login.example.net/?token=CANARY-"), outcome: chat.Rejected, code: chat.CodeRedirect},
		"other encoding":         {fault: body(200, "x", "Content-Encoding", "br"), code: chat.CodeBadAnswer, text: "encoded"},
		"compressed":             {fault: body(200, string(zip(t, strings.NewReader("hello"))), "Content-Encoding", "gzip"), want: "hello"},
		"size told":              {fault: body(200, "123456"), limit: 5, code: chat.CodeTooLarge},
		"exactly":                {fault: body(200, "12345"), limit: 5, want: "12345"},
		"bomb": {
			fault: body(200, string(zip(t, io.LimitReader(zeros{}, 8<<20))), "Content-Encoding", "gzip"), limit: 1000,
			want: strings.Repeat("\x00", 1000), code: chat.CodeTooLarge, text: "longer than 1000 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
				conn := s.open(t.Context())
				c.fault.Op = "file/download"
				s.Faults().Add(c.fault)
				d, err := conn.(chat.Filer).ReceiveFile(t.Context(), "id", c.limit)
				var got []byte
				if err == nil {
					got, err = io.ReadAll(d.Content)
					require.NoError(t, d.Content.Close())
				}
				assert.Equal(t, c.want, string(got))
				assert.Equal(t, c.name, d.Name)
				if c.code == "" {
					require.NoError(t, err)
					return
				}
				var e *chat.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, c.code, e.Code)
				assert.Equal(t, c.outcome.String(), e.Outcome.String())
				assert.Contains(t, err.Error(), c.text)
				assert.NotContains(t, err.Error(), "CANARY-")
				_, err = conn.Send(t.Context(), chat.Action{Text: "the chat goes on"})
				require.NoError(t, err)
			})
		})
	}
}

// A transfer in which nothing moves ends, one that is slow does not; a limit that is configured holds.
func TestTransferTimes(t *testing.T) {
	bubble(t, chatsim.Options{SilenceLimit: -1}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		filer := conn.(chat.Filer)
		failed := func(err error, outcome chat.Outcome, text string) {
			t.Helper()
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.CodeTimeout, e.Code)
			assert.Equal(t, outcome.String(), e.Outcome.String())
			assert.Contains(t, err.Error(), text)
		}
		begin := time.Now()
		upload := func() chat.Upload { return chat.Upload{Name: "a.txt", Size: 3, Content: strings.NewReader("abc")} }

		s.Faults().Add(chatsim.Fault{Op: "file", Delay: 30 * time.Second})
		_, err := filer.SendFile(t.Context(), upload())
		require.NoError(t, err, "a slow server, but not that slow")
		assert.Equal(t, 30*time.Second, time.Since(begin))

		begin = time.Now()
		s.Faults().Add(chatsim.Fault{Op: "file", Delay: time.Hour})
		_, err = filer.SendFile(t.Context(), upload())
		failed(err, chat.Unknown, "nothing moved for 1m0s")
		assert.Equal(t, chat.TransferStall, time.Since(begin))

		content, more := io.Pipe()
		_, err = filer.SendFile(t.Context(), chat.Upload{Name: "a.txt", Size: -1, Content: content})
		failed(err, chat.NotSent, "nothing moved")
		require.NoError(t, more.Close())

		// A body that takes five minutes, and one that stops.
		s.Faults().Add(chatsim.Fault{Op: "file/download", Status: 200, Body: bytes.Repeat([]byte("x"), 1000), Slow: 5 * time.Minute})
		d, err := filer.ReceiveFile(t.Context(), "id", 0)
		require.NoError(t, err)
		time.Sleep(10 * time.Minute) // what the caller does not ask for cannot stall
		got, err := io.ReadAll(d.Content)
		require.NoError(t, err)
		assert.Len(t, got, 1000)
		s.Faults().Add(chatsim.Fault{Op: "file/download", Status: 200, Body: bytes.Repeat([]byte("x"), 10), Slow: 5 * time.Minute})
		d, err = filer.ReceiveFile(t.Context(), "id", 0)
		require.NoError(t, err)
		s.Network().Partition()
		_, err = io.ReadAll(d.Content)
		failed(err, chat.Unknown, "nothing moved")
		s.Network().Heal()
		s.Faults().Add(chatsim.Fault{Op: "file/download", Status: 200, Body: bytes.Repeat([]byte("x"), 1000), Cut: 100})
		d, err = filer.ReceiveFile(t.Context(), "id", 0)
		require.NoError(t, err)
		got, err = io.ReadAll(d.Content)
		var e *chat.Error
		require.ErrorAs(t, err, &e, "half a file is no file")
		assert.Equal(t, chat.CodeNetwork, e.Code)
		assert.LessOrEqual(t, len(got), 100)
		require.NoError(t, d.Content.Close())

		c := s.config()
		c.FileUploadTimeout = 10 * time.Second
		driver, err := gmsrest.New(c, &chat.Options{Client: s.Client()})
		require.NoError(t, err)
		limited, err := driver.Open(t.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(t, err)
		defer limited.Close()
		begin = time.Now()
		s.Faults().Add(chatsim.Fault{Op: "file", Delay: time.Hour})
		_, err = limited.(chat.Filer).SendFile(t.Context(), upload())
		failed(err, chat.Unknown, "raise webchat.fileUploadTimeout")
		assert.Equal(t, 10*time.Second, time.Since(begin))
	})
}

// A download ends with its context and with the connection, while it is read.
func TestDownloadEnds(t *testing.T) {
	bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
		conn := s.open(t.Context())
		start := func(ctx context.Context) (io.ReadCloser, <-chan error) {
			s.Faults().Add(chatsim.Fault{Op: "file/download", Status: 200, Body: bytes.Repeat([]byte("x"), 10), Slow: 5 * time.Minute})
			d, err := conn.(chat.Filer).ReceiveFile(ctx, "id", 0)
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(d.Content)
				ended <- err
			}()
			synctest.Wait()
			return d.Content, ended
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, ended := start(ctx)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)

		content, ended := start(t.Context())
		require.NoError(t, content.Close(), "from another goroutine")
		require.ErrorIs(t, <-ended, chat.ErrClosed)

		_, ended = start(t.Context())
		require.NoError(t, conn.Close())
		require.ErrorIs(t, <-ended, chat.ErrClosed)
	})
}

// An upload that credentials failed is made once more if its content can be read again; else the
// refusal stands.
func TestUploadWithNewCredentials(t *testing.T) {
	for _, seekable := range []bool{true, false} {
		bubble(t, chatsim.Options{}, func(t *testing.T, s *server) {
			n := 0
			a := chat.NewAuthorization(func(context.Context, chat.Secret) (chat.Secret, error) {
				n++
				return chat.NewSecret(fmt.Sprintf("Bearer CANARY-%d", n)), nil
			})
			s.Demand("Bearer CANARY-1")
			conn, err := s.AuthorizedDriver(a).Open(t.Context(), chat.Request{Nickname: "Ada"})
			require.NoError(t, err)
			defer conn.Close()
			s.Demand("Bearer CANARY-2")
			content := strings.NewReader("skip: abc")
			_, err = content.Seek(6, io.SeekStart)
			require.NoError(t, err)
			f := chat.Upload{Name: "a.txt", Size: 3, Content: content}
			if !seekable {
				f.Content = io.MultiReader(content)
			}
			_, err = conn.(chat.Filer).SendFile(t.Context(), f)
			if seekable {
				require.NoError(t, err)
				files := s.Files(conn.Session().ID)
				require.Len(t, files, 1)
				assert.Equal(t, "abc", string(files[0].Data))
				return
			}
			var e *chat.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, chat.Rejected, e.Outcome)
			assert.Equal(t, chat.CodeUnauthorized, e.Code)
			assert.NotContains(t, fmt.Sprintf("%+v", e), "CANARY-")
			assert.Empty(t, s.Files(conn.Session().ID))
		})
	}
}

// An upload and a download of any size take a buffer's memory.
func TestTransferMemory(t *testing.T) {
	const size = 32 << 20
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/download"):
			_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
		case strings.HasSuffix(r.URL.Path, "/file"):
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, `{"statusCode":0,"userData":{"file-id":"%d"}}`, n)
		default:
			fmt.Fprint(w, `{"statusCode":0,"chatId":"c","secureKey":"k","chatEnded":false}`)
		}
	})
	conn := served(t, handler)
	filer := conn.(chat.Filer)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	receipt, err := filer.SendFile(t.Context(), chat.Upload{Name: "a", Size: size, Content: io.LimitReader(zeros{}, size)})
	require.NoError(t, err)
	assert.Greater(t, len(receipt.ID), 7)
	d, err := filer.ReceiveFile(t.Context(), "id", 0)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, d.Content)
	require.NoError(t, err)
	assert.Equal(t, int64(size), n)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/4), "allocated on both sides, all in all")
}
