package chat

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// TransferStall is how long nothing may move in a transfer of a file until it is given up.
const TransferStall = time.Minute

// DefaultMaxDownload is the limit of a download that sets none, in bytes.
const DefaultMaxDownload = 64 << 20

// Filer is a Conn that carries files. Its requests do not take their turn among the others: lines can be
// sent and files be transferred at once. They make one attempt, end with their context, with Close,
// and, as there is no limit to the length of a transfer unless one is configured, when nothing moves
// for [TransferStall]. Nothing of a file is held in memory but a buffer.
type Filer interface {
	// FileLimits asks the server which files it takes, and what is left of the limits. The
	// Receipt has the answer.
	FileLimits(ctx context.Context) (FileLimits, Receipt, error)

	// SendFile sends a file. The Receipt's ID is the server's id of it; the line about it
	// ([KindFileUploaded]) comes out of Receive, as for everybody. It checks no limits: see
	// [FileLimits.Check]; the server's refusal is an [*Error] with the server's code.
	SendFile(ctx context.Context, f Upload) (Receipt, error)

	// ReceiveFile begins to fetch a file of this chat by its id, and returns once the server has
	// begun to give it. ctx rules the reading of Content, too. Content gives at most limit bytes
	// (0 means [DefaultMaxDownload], negative no limit), counted as they are read, after
	// decompression; from a longer file it then fails with code [CodeTooLarge], or ReceiveFile
	// itself does if the server told the size. The caller closes Content.
	ReceiveFile(ctx context.Context, id string, limit int64) (Download, error)

	// DeleteFile takes a file of this side back.
	DeleteFile(ctx context.Context, id string) (Receipt, error)
}

// Upload is a file to be sent.
type Upload struct {
	// Name is the file's name; what precedes the last slash or backslash is not sent.
	Name string
	// ContentType is its media type; "" means application/octet-stream.
	ContentType string
	// Size is how many bytes Content has, or -1 when that is not known. Content that has more or
	// fewer fails the upload.
	Size int64
	// Content is read by one goroutine at a time, and not after SendFile has returned, save that a
	// Read which blocks when the upload is given up may still be under way. It is not closed. If it
	// is an [io.Seeker], an upload that credentials failed can be repeated with new ones.
	Content io.Reader
	// Description is for the agent, or "".
	Description string
	// UserData is more to attach to the file. Values as in [Request.UserData].
	UserData map[string]any
	// Progress is told how many bytes of Content were given to the network so far, each time some
	// were; nil tells nobody. The calls follow one another, and none begins after SendFile has
	// returned. It must not block.
	Progress func(sent int64)
}

// Download is a file being received.
type Download struct {
	// Name is the file's name as the server gave it, made safe by [SafeFileName]; "" when it gave none.
	Name string
	// ContentType is the media type, without parameters; "" when the server did not say.
	ContentType string
	// Size is how many bytes there are; -1 when the server did not say.
	Size int64
	// Content is the file. Its errors are [io.EOF], after the whole of it, and [*Error].
	Content io.ReadCloser
}

// FileLimits is what a server says about the files that it takes (webchatservice 4.6). Numbers are -1
// where it says nothing; sizes are in bytes.
type FileLimits struct {
	MaxFiles         int64    // files that one side may send in this chat
	MaxFileSize      int64    // size of each
	MaxTotalSize     int64    // size of all of them
	DownloadAttempts int64    // downloads
	Types            []string // extensions that may be sent, in lower case without dot; nil: all
	NeedAgent        bool     // files may be sent only while an agent is in the chat

	UsedFiles     int64 // files sent so far
	UsedTotalSize int64 // size of those
	UsedDownloads int64 // downloads so far

	// UserData is everything that the server says, by its own names; nil on wires without such names.
	UserData map[string]any
}

// Check says whether a server with these limits would take a file; size is -1 when it is not known,
// agent whether one is in the chat. The error is an [*Error] with outcome NotSent and code refused,
// whose Errors has the code and the advice that user interfaces of WebChat know (webchatservice 4.6: 201 too many,
// 202 too large, 203 type not allowed), and none for a missing agent.
func (l FileLimits) Check(name string, size int64, agent bool) error {
	refuse := func(code, advice, text string) error {
		e := &Error{Outcome: NotSent, Code: CodeRefused, Op: "upload", Text: text}
		if code != "" {
			e.Errors = []ServerError{{Code: code, Advice: advice}}
		}
		return e
	}
	over := func(limit, used, more int64) bool { return limit >= 0 && more > limit-max(used, 0) }
	extension := strings.ToLower(strings.TrimPrefix(path.Ext(baseName(name)), "."))
	switch {
	case l.NeedAgent && !agent:
		return refuse("", "", "files can be sent only while an agent is in the chat")
	case over(l.MaxFiles, l.UsedFiles, 1):
		return refuse("201", strconv.FormatInt(l.MaxFiles, 10), fmt.Sprintf("too many files: at most %d can be sent in a chat", l.MaxFiles))
	case over(l.MaxFileSize, 0, size):
		return refuse("202", strconv.FormatInt(l.MaxFileSize, 10), fmt.Sprintf("the file is too large: at most %d bytes can be sent", l.MaxFileSize))
	case over(l.MaxTotalSize, l.UsedTotalSize, size):
		return refuse("202", strconv.FormatInt(l.MaxTotalSize, 10), fmt.Sprintf("the files of this chat are too large: at most %d bytes can be sent in all", l.MaxTotalSize))
	case l.Types != nil && !slices.Contains(l.Types, extension):
		all := strings.Join(l.Types, ":")
		return refuse("203", all, "files of this type cannot be sent, only "+strings.Join(l.Types, ", "))
	}
	return nil
}

// MaxFileName is how long a name made by [SafeFileName] is at most, in bytes.
const MaxFileName = 200

// SafeFileName makes a name that came from elsewhere safe to create a file with, in any directory and on
// any system: no path, no control or invisible characters, none that a system reserves, no reserved
// name, no dot or space at either end, valid UTF-8, at most [MaxFileName] bytes with the extension kept.
// A name of which nothing is left is "file". A safe name stays as it is.
func SafeFileName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return -1 // bidirectional overrides among them: they make exe.txt of txt.exe
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	const ends = ". \u00a0\u3000"
	name = strings.Trim(baseName(name), ends)
	if len(name) > MaxFileName {
		extension := path.Ext(name)
		if len(extension) > 20 {
			extension = ""
		}
		stem := name[:MaxFileName-len(extension)]
		for !utf8.ValidString(stem) {
			stem = stem[:len(stem)-1]
		}
		name = strings.TrimRight(stem, ends) + extension
	}
	if reserved(name) {
		name = "_" + name
		if len(name) > MaxFileName { // a long extension
			return SafeFileName(name)
		}
	}
	if name == "" {
		return "file"
	}
	return name
}

// baseName is what follows the last separator of any system.
func baseName(name string) string { return name[strings.LastIndexAny(name, `/\`)+1:] }

// reserved reports whether Windows takes a name for a device, whatever its extension.
func reserved(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		port, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && len([]rune(port)) == 1 && strings.Contains("0123456789¹²³", port)
}
