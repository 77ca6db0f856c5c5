package gms

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// ParseLimits reads limits from the words of GMS (wire-gms A.7.11). What cannot be read counts as
// not said. It keeps values.
func ParseLimits(values map[string]any) chat.FileLimits {
	text := func(name string) string {
		if values[name] == nil {
			return ""
		}
		return strings.TrimSpace(fmt.Sprint(values[name])) // servers say numbers as text; proxies may know better
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(text(name), 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	l := chat.FileLimits{
		MaxFiles: number("upload-max-files"), MaxFileSize: number("upload-max-file-size"), MaxTotalSize: number("upload-max-total-size"),
		DownloadAttempts: number("download-attempts"),
		NeedAgent:        strings.EqualFold(text("upload-need-agent"), "true"),
		UsedFiles:        number("used-upload-max-files"), UsedTotalSize: number("used-upload-max-total-size"),
		UsedDownloads: number("used-download-attempts"), UserData: values,
	}
	for _, t := range strings.Split(text("upload-file-types"), ":") {
		t = strings.TrimLeftFunc(t, func(r rune) bool { return unicode.IsSpace(r) || r == '.' || r == '*' })
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" && !slices.Contains(l.Types, t) {
			l.Types = append(l.Types, t)
		}
	}
	return l
}
