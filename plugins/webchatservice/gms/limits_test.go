package gms_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// wire-gms A.7.11.
func TestParseLimits(t *testing.T) {
	values := map[string]any{
		"upload-max-files": "5", "upload-max-file-size": " 2097152 ", "upload-max-total-size": "8388608",
		"upload-file-types": "gif:.JPG:*.pdf: png ::gif", "upload-need-agent": "TRUE", "download-attempts": "4", "delete-file": "odd",
		"used-upload-max-files": json.Number("1"), "used-upload-max-total-size": 20480, "used-download-attempts": "0",
	}
	assert.Equal(t, chat.FileLimits{
		MaxFiles: 5, MaxFileSize: 2097152, MaxTotalSize: 8388608, DownloadAttempts: 4, Types: []string{"gif", "jpg", "pdf", "png"},
		NeedAgent: true, UsedFiles: 1, UsedTotalSize: 20480, UsedDownloads: 0, UserData: values,
	}, gms.ParseLimits(values))
	for _, odd := range []map[string]any{nil, {"upload-max-files": "many", "upload-max-file-size": "-5", "upload-max-total-size": "1e3", "upload-file-types": ":"}} {
		l := gms.ParseLimits(odd)
		assert.Equal(t, []int64{-1, -1, -1, -1, -1}, []int64{l.MaxFiles, l.MaxFileSize, l.MaxTotalSize, l.DownloadAttempts, l.UsedFiles})
		assert.Nil(t, l.Types)
		assert.NoError(t, l.Check("any.thing", 1<<60, false), "what the server does not say is no limit")
	}
}

func FuzzParseLimits(f *testing.F) {
	f.Add("5", "2097152", "gif:jpg", "true")
	f.Add("", "", ". pdf:.\t*x", "")
	f.Add("-1", "9223372036854775808", ":. :*.PDF:pdf", "yes")
	f.Fuzz(func(t *testing.T, files, size, types, need string) {
		l := gms.ParseLimits(map[string]any{
			"upload-max-files": files, "upload-max-file-size": size, "upload-file-types": types, "upload-need-agent": need,
		})
		require.GreaterOrEqual(t, l.MaxFiles, int64(-1))
		require.GreaterOrEqual(t, l.MaxFileSize, int64(-1))
		again := gms.ParseLimits(map[string]any{"upload-file-types": strings.Join(l.Types, ":")})
		require.Equal(t, l.Types, again.Types, "what was read reads the same")
		for _, extension := range l.Types {
			require.NotContains(t, extension, ":")
			if l.MaxFiles != 0 && !l.NeedAgent && !strings.ContainsAny(extension, `./\`) {
				require.NoError(t, l.Check("a."+extension, 0, false), "%q", extension)
			}
		}
	})
}
