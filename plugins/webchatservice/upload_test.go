package webchatservice_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice"
)

// An upload whose connection is reset on the way fails, with a progress that never falls, and can be made again; the
// chat does not notice.
func TestUploadThatIsCut(t *testing.T) {
	const length = 200 << 10
	content := bytes.Repeat([]byte("0123456789abcdef"), length/16)
	for _, percent := range []int64{0, 50, 99} {
		t.Run(fmt.Sprint(percent, " percent"), func(t *testing.T) {
			onEachWire(t, func(t *testing.T, f *field) {
				r, a := f.begin(t)
				a.converse(t, 1)
				upload := func() (progress []int64, err error) {
					t.Helper()
					future := start(r, t.Context(), webchatservice.SendFile, webchatservice.SendFileIn{Files: webchatservice.FileIn{
						Name: "numbers.txt", Content: bytes.NewReader(content), Size: length,
					}})
					for p := range future.Progress(t.Context()) {
						progress = append(progress, p.(webchatservice.FileProgress).Sent)
					}
					_, err = future.Result(t.Context())
					for i, sent := range progress {
						assert.LessOrEqual(t, sent, int64(length))
						if i > 0 {
							assert.GreaterOrEqual(t, sent, progress[i-1])
						}
					}
					return progress, err
				}
				_, err := call(r, webchatservice.GetFileLimits, struct{}{}) // so that the upload alone goes out next
				require.NoError(t, err)
				f.cable.cutOut(10 + length*percent/100)
				progress, err := upload()
				require.ErrorIs(t, err, webchatservice.ErrRequest)
				assert.ErrorContains(t, err, "connection")
				if percent > 0 {
					assert.NotEmpty(t, progress)
				}
				time.Sleep(time.Minute)
				assert.Empty(t, a.chat.Snapshot().Files, "half a file is none")

				progress, err = upload()
				require.NoError(t, err)
				assert.Equal(t, int64(length), progress[len(progress)-1])
				a.converse(t, 1)
				time.Sleep(time.Minute)
				files := a.chat.Snapshot().Files
				require.Len(t, files, 1)
				assert.Equal(t, content, files[0].Data)
				a.balance(t)
				assert.Zero(t, a.gaps)
				require.NoError(t, end(r))
			})
		})
	}
}
