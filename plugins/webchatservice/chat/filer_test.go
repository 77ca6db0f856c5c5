package chat_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func TestSafeFileName(t *testing.T) {
	long := strings.Repeat("ł", 150)
	for name, want := range map[string]string{
		"Bill 1.PDF":              "Bill 1.PDF",
		"Zażółć gęślą.txt":        "Zażółć gęślą.txt",
		"":                        "file",
		".":                       "file",
		"..":                      "file",
		"../../etc/passwd":        "passwd",
		`..\..\boot.ini`:          "boot.ini",
		`C:\x\y.txt`:              "y.txt",
		"C:y.txt":                 "C_y.txt",
		"dir/":                    "file",
		".bashrc":                 "bashrc",
		"a.txt. .":                "a.txt",
		"a\x00b\n.txt":            "ab.txt",
		"photo\u202egpj.exe":      "photogpj.exe",
		"zero\u200bwidth.txt":     "zerowidth.txt",
		`a<b>c:"d"|e?f*.txt`:      "a_b_c__d__e_f_.txt",
		"con":                     "_con",
		"Nul.tar.gz":              "_Nul.tar.gz",
		"COM1":                    "_COM1",
		"lpt¹.txt":                "_lpt¹.txt",
		"com10.txt":               "com10.txt",
		"bad\xff\xfeutf8.txt":     "badutf8.txt",
		long + ".pdf":             strings.Repeat("ł", 98) + ".pdf",
		"x." + long:               "x." + strings.Repeat("ł", 99),
		"a/b\u2028c":              "bc",
		"  spaced name  .txt    ": "spaced name  .txt",
	} {
		assert.Equal(t, want, chat.SafeFileName(name), "%q", name)
	}
}

func FuzzSafeFileName(f *testing.F) {
	for _, s := range []string{"", "a.txt", "../x", `..\x`, "con.", "x\u202ey", strings.Repeat("a", 300) + ".pdf", "CON." + strings.Repeat("b", 196), " . ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		safe := chat.SafeFileName(name)
		require.NotEmpty(t, safe)
		require.LessOrEqual(t, len(safe), chat.MaxFileName)
		require.True(t, utf8.ValidString(safe))
		require.True(t, filepath.IsLocal(safe))
		require.Equal(t, safe, filepath.Base(safe))
		require.Equal(t, -1, strings.IndexFunc(safe, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`/\<>:"|?*`, r)
		}))
		require.Equal(t, strings.Trim(safe, ". "), safe)
		require.Equal(t, safe, chat.SafeFileName(safe), "a safe name stays as it is")
	})
}

// wire-gms A.7.11.
func TestParseFileLimits(t *testing.T) {
	values := map[string]any{
		"upload-max-files": "5", "upload-max-file-size": " 2097152 ", "upload-max-total-size": "8388608",
		"upload-file-types": "gif:.JPG:*.pdf: png ::gif", "upload-need-agent": "TRUE", "download-attempts": "4", "delete-file": "odd",
		"used-upload-max-files": json.Number("1"), "used-upload-max-total-size": 20480, "used-download-attempts": "0",
	}
	assert.Equal(t, chat.FileLimits{
		MaxFiles: 5, MaxFileSize: 2097152, MaxTotalSize: 8388608, DownloadAttempts: 4, Types: []string{"gif", "jpg", "pdf", "png"},
		NeedAgent: true, DeleteFile: "odd", UsedFiles: 1, UsedTotalSize: 20480, UsedDownloads: 0, UserData: values,
	}, chat.ParseFileLimits(values))
	for _, odd := range []map[string]any{nil, {"upload-max-files": "many", "upload-max-file-size": "-5", "upload-max-total-size": "1e3", "upload-file-types": ":"}} {
		l := chat.ParseFileLimits(odd)
		assert.Equal(t, []int64{-1, -1, -1, -1, -1}, []int64{l.MaxFiles, l.MaxFileSize, l.MaxTotalSize, l.DownloadAttempts, l.UsedFiles})
		assert.Nil(t, l.Types)
		assert.NoError(t, l.Check("any.thing", 1<<60, false), "what the server does not say is no limit")
	}
}

func TestFileLimitsCheck(t *testing.T) {
	l := chat.ParseFileLimits(map[string]any{
		"upload-max-files": "3", "upload-max-file-size": "100", "upload-max-total-size": "150",
		"upload-file-types": "txt:pdf", "upload-need-agent": "true", "used-upload-max-files": "1", "used-upload-max-total-size": "60",
	})
	full := l
	full.UsedFiles = 3
	for _, c := range []struct {
		limits       chat.FileLimits
		name         string
		size         int64
		agent        bool
		code, advice string
	}{
		{l, "a.txt", 90, true, "", ""},
		{l, "a.TXT", -1, true, "", ""},
		{l, "a.txt", 90, false, "none", ""},
		{full, "a.txt", 1, true, "201", "3"},
		{l, "a.txt", 101, true, "202", "100"},
		{l, "a.txt", 91, true, "202", "150"},
		{l, "a.exe", 1, true, "203", "txt:pdf"},
		{l, "txt", 1, true, "203", "txt:pdf"},
		{l, `dir.txt\a`, 1, true, "203", "txt:pdf"},
	} {
		err := c.limits.Check(c.name, c.size, c.agent)
		if c.code == "" {
			require.NoError(t, err)
			continue
		}
		var e *chat.Error
		require.True(t, errors.As(err, &e), "%s", c.name)
		assert.Equal(t, chat.NotSent, e.Outcome)
		assert.Equal(t, chat.CodeRefused, e.Code)
		assert.False(t, e.Retryable())
		if c.code == "none" {
			assert.Empty(t, e.Errors)
		} else {
			assert.Equal(t, []chat.ServerError{{Code: c.code, Advice: c.advice}}, e.Errors)
		}
	}
}

func FuzzParseFileLimits(f *testing.F) {
	f.Add("5", "2097152", "gif:jpg", "true")
	f.Add("", "", ". pdf:.\t*x", "")
	f.Add("-1", "9223372036854775808", ":. :*.PDF:pdf", "yes")
	f.Fuzz(func(t *testing.T, files, size, types, need string) {
		l := chat.ParseFileLimits(map[string]any{
			"upload-max-files": files, "upload-max-file-size": size, "upload-file-types": types, "upload-need-agent": need,
		})
		require.GreaterOrEqual(t, l.MaxFiles, int64(-1))
		require.GreaterOrEqual(t, l.MaxFileSize, int64(-1))
		again := chat.ParseFileLimits(map[string]any{"upload-file-types": strings.Join(l.Types, ":")})
		require.Equal(t, l.Types, again.Types, "what was read reads the same")
		for _, extension := range l.Types {
			require.NotContains(t, extension, ":")
			if l.MaxFiles != 0 && !l.NeedAgent && !strings.ContainsAny(extension, `./\`) {
				require.NoError(t, l.Check("a."+extension, 0, false), "%q", extension)
			}
		}
	})
}
