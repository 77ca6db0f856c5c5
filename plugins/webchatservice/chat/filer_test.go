package chat_test

import (
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

func TestFileLimitsCheck(t *testing.T) {
	l := chat.FileLimits{
		MaxFiles: 3, MaxFileSize: 100, MaxTotalSize: 150, Types: []string{"txt", "pdf"}, NeedAgent: true, UsedFiles: 1, UsedTotalSize: 60,
	}
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
