package busconfig

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode"
)

// A Code says what is wrong. Codes are stable: programs may compare them.
type Code string

const (
	// CodeFile: the file cannot be read: missing, forbidden, too large, or
	// of a format that its name does not tell.
	CodeFile Code = "file"
	// CodeMalformed: the file, or the value of a variable, breaks the rules
	// of its format.
	CodeMalformed Code = "malformed"
	// CodeDuplicate: an option is there twice, spelt the same or differing
	// in upper and lower case.
	CodeDuplicate Code = "duplicate"
	// CodeUnknown: no option, section or variable has this name.
	CodeUnknown Code = "unknown"
	// CodeType: the value is not of the option's type.
	CodeType Code = "type"
	// CodeRange: the value is of the right type and not allowed.
	CodeRange Code = "range"
)

// Sentinels for [errors.Is], one for each code. [Load], [Section.Decode] and
// [Config.CheckUnknown] return errors that match them; what they return for
// several problems matches the sentinel of each.
var (
	ErrFile      error = &Error{Code: CodeFile}
	ErrMalformed error = &Error{Code: CodeMalformed}
	ErrDuplicate error = &Error{Code: CodeDuplicate}
	ErrUnknown   error = &Error{Code: CodeUnknown}
	ErrType      error = &Error{Code: CodeType}
	ErrRange     error = &Error{Code: CodeRange}
)

// Error is one problem of a configuration. It never holds the value of a text
// option, so that a secret cannot end up in a log, wherever it was put.
type Error struct {
	Code Code
	// Path is the option or section, as webchat.cometD.channel; empty when
	// the whole file is meant.
	Path string
	// Source is where the value came from: file:line, file:line:column, the
	// file, or the name of an environment variable.
	Source string
	// Text is what is wrong.
	Text string
	// Hint is what mends it; may be empty.
	Hint string
	// Err is the cause, where there is one: the error of the file system.
	Err error

	order order
}

// order is where a problem lies: by lines, and on one line by what comes first.
// Problems of variables come after those of the file.
type order struct{ line, seq int }

const variables = math.MaxInt // the line of what comes from a variable

// joined returns the problems as one error, or nil: each of them once, in the
// order of the file.
func joined(problems []*Error) error {
	slices.SortStableFunc(problems, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.order.line, b.order.line), cmp.Compare(a.order.seq, b.order.seq))
	})
	var errs []error
	said := map[string]bool{}
	for _, p := range problems {
		if line := p.Error(); !said[line] {
			said[line] = true
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// Error returns one line of printable characters: source, path, what is wrong and what mends it.
func (e *Error) Error() string {
	var b strings.Builder
	for _, s := range []string{e.Source, e.Path} {
		if s != "" {
			b.WriteString(s)
			b.WriteString(": ")
		}
	}
	if e.Text == "" {
		b.WriteString(string(e.Code))
	}
	b.WriteString(e.Text)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	// A key of the file may hold anything, also what moves a cursor.
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(b.String(), "\uFFFD"))
}

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && *t == Error{Code: e.Code}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
