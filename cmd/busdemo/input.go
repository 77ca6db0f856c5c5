package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// maxLine limits a line of standard input, in bytes.
const maxLine = 64 << 10

// input is a line of standard input, or why there is none.
type input struct {
	text string
	err  error // a *longLineError, after which others come, or the last
}

// longLineError tells of a line of standard input that is longer than maxLine.
type longLineError struct{ begin string }

func (e *longLineError) Error() string {
	return fmt.Sprintf("a line is longer than %d bytes: %s...", maxLine, e.begin)
}

// lineReader gives one line after the other, without its end. At the end of the input it returns io.EOF.
type lineReader func() (string, error)

// pipedLines reads the lines of a pipe or a file. A line that is too long is skipped, and is a *longLineError.
func pipedLines(r io.Reader) lineReader {
	b := bufio.NewReaderSize(r, maxLine+2)
	return func() (string, error) {
		l, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long := &longLineError{begin: clean(string(l[:20]))}
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = b.ReadSlice('\n')
			}
			if err != nil && err != io.EOF { //nolint:errorlint // bufio returns it as it is
				return "", err
			}
			return "", long
		}
		if err != nil && len(l) == 0 {
			return "", err
		}
		l = bytes.TrimSuffix(bytes.TrimSuffix(l, []byte("\n")), []byte("\r"))
		if len(l) > maxLine {
			return "", &longLineError{begin: clean(string(l[:20]))}
		}
		return string(l), nil
	}
}

// readLines hands out the lines that next gives until their end. A read cannot be broken off: once stop is closed,
// the goroutine ends with the read that is under way, or with the process.
func readLines(next lineReader, stop <-chan struct{}) <-chan input {
	out := make(chan input)
	go func() {
		defer close(out)
		for {
			text, err := next()
			var long *longLineError
			switch {
			case err == io.EOF: //nolint:errorlint // as io.Reader gives it
				return
			case err != nil && err != errInterrupted && !errors.As(err, &long):
				err = fmt.Errorf("read standard input: %w", err)
			}
			select {
			case out <- input{text, err}:
			case <-stop:
				return
			}
			if err != nil && long == nil {
				return
			}
		}
	}()
	return out
}

// prompt is shown before the line that is being typed.
const prompt = "> "

// editor is a terminal on which somebody types while lines arrive. The line that is being typed stays whole: what is
// written goes above it.
type editor struct {
	term *term.Terminal
	size func() (width, height int, err error)
}

// keys are the bytes of the keyboard. Ctrl-C, which a terminal in raw mode gives as a byte, is noted.
type keys struct {
	io.Reader
	broken bool // Ctrl-C was among the last ones
}

func (k *keys) Read(b []byte) (int, error) {
	n, err := k.Reader.Read(b)
	k.broken = bytes.IndexByte(b[:n], 0x03) >= 0
	return n, err
}

// newEditor returns an editor over the keys of a terminal in raw mode and its screen.
func newEditor(in io.Reader, out io.Writer, size func() (width, height int, err error)) (*editor, lineReader) {
	k := &keys{Reader: in}
	e := &editor{size: size, term: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k, out}, prompt)}
	e.resize()
	return e, func() (string, error) {
		text, err := e.term.ReadLine()
		switch {
		case err == io.EOF && k.broken: //nolint:errorlint // as x/term gives it
			return "", errInterrupted
		case errors.Is(err, term.ErrPasteIndicator):
			err = nil
		}
		if err == nil && !utf8.ValidString(text) {
			err = errors.New("the terminal does not write UTF-8")
		}
		return text, err
	}
}

// resize follows the size of the window.
func (e *editor) resize() {
	if w, h, err := e.size(); err == nil && w > 0 && h > 0 {
		_ = e.term.SetSize(w, h) // it never fails
	}
}

// Write shows text above the line that is being typed.
func (e *editor) Write(b []byte) (int, error) {
	e.resize()
	return e.term.Write(b)
}

// tty is where a person reads and types, or the pipes in their place.
type tty struct {
	screen *screen
	lines  lineReader
	// restore gives the terminal back as it was. It may be called more than once.
	restore func()
}

// tty returns the program's. On a terminal a line that is being typed stays whole while others arrive.
func (p *program) tty() (*tty, error) {
	s := &screen{p: painter(colours(p.stdout, os.Getenv)), echo: !terminal(p.stdin), w: p.stdout}
	c := &tty{screen: s, restore: func() {}}
	in, isFile := p.stdin.(*os.File)
	if !isFile || !terminal(p.stdin) || !terminal(p.stdout) || os.Getenv("TERM") == "dumb" {
		c.lines = pipedLines(p.stdin)
		return c, nil
	}
	fd := int(in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("use the terminal: %w", err)
	}
	var e *editor
	e, c.lines = newEditor(in, p.stdout, func() (int, int, error) { return term.GetSize(fd) })
	s.redirect(e)
	restored := false
	c.restore = func() {
		if restored {
			return
		}
		restored = true
		s.redirect(p.stdout)
		_, _ = io.WriteString(p.stdout, "\r\x1b[K") // the prompt
		_ = term.Restore(fd, before)
	}
	return c, nil
}
