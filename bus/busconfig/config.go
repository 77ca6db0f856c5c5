// Package busconfig hands each plugin its section of one configuration file,
// with the environment laid over it.
//
// A file is YAML, JSON or TOML, told by its name. Its top level holds one
// section for each namespace; a section's options are the fields of the
// plugin's own struct, named by their json tags:
//
//	cfg, err := busconfig.Load(&busconfig.Options{File: "busdemo.yaml"})
//	...
//	chat, demo := webchatservice.DefaultConfig(), Demo{Pace: 1}
//	err = cfg.Decode(
//		busconfig.Claim{Namespace: "webchat", Into: &chat},
//		busconfig.Claim{Namespace: "demo", Into: &demo},
//	)
//
// Several claims may share a section: each takes the options that it declares.
//
// # What a caller can rely on
//
// The environment wins over the file, the file over what the struct held when
// it was given to Decode. Each option has a variable, whether the file names
// it or not: webchat.cometD.channel is CXBUS_WEBCHAT_COMETD_CHANNEL. A
// variable that is set and empty counts as not set.
//
// Decoding is strict. An option, section or variable that nobody knows, a
// value of the wrong type or out of range, a key that is there twice: each is
// an [*Error] with the full path, the place it came from and what mends it,
// with the nearest known name for a misspelt one. All problems are reported at
// once, in the order of the file, joined as by [errors.Join]. A Decode that fails
// leaves the structs as they were.
//
// Free-form maps hold values as they were written, so that a number keeps its
// digits: an int64 or a float64 where that prints as the file has it, else a
// [json.Number]; and where YAML knows more ways to write a number (0123, 0x1F,
// +49301234), the text.
//
// Names are exact, upper and lower case included, in the file and in
// free-form maps; only variables are in upper case throughout. Errors never
// hold the value of a text option.
//
// A [Config] never changes and may be used from many goroutines. To reload,
// call [Load] again, decode, and swap what came out; a file that turned bad
// leaves the old in force.
//
// # Options of a struct
//
// Fields are booleans, numbers, strings, [time.Duration], slices, maps with
// string keys, structs, pointers to these, any, and types that implement
// [encoding/json.Unmarshaler] or [encoding.TextUnmarshaler]. A nested struct
// is a nested section. A map, a slice or an any is one option, replaced as a
// whole; maps keep the case of their keys. Tags refine an option:
//
//	json:"pollRate"     its name; "-" hides the field
//	unit:"ms"           unit of a number, for people; for a time.Duration one of ms (which is the default), s, min, h
//	min:"1000"          smallest number allowed, in the unit
//	max:"30000"         largest
//	oneof:"full,half"   the strings allowed
//	accept:"number"     a string that may be written as a number
//	env:"-"             the option has no environment variable
//	type:"..."          name of its type, for Describe, where the Go type does not tell
//	doc:"..."           meaning, for Describe
//
// A time is always written as a plain number in its unit. A struct that does
// not know its options before the program runs is an [Open].
package busconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// DefaultPrefix begins the name of each environment variable.
const DefaultPrefix = "CXBUS"

// maxFile bounds what is read of a file, in bytes.
const maxFile = 4 << 20

// Options say where a configuration comes from. The zero value reads the
// environment only.
type Options struct {
	// File is the file to read: .yaml, .yml, .json or .toml. Empty means no
	// file.
	File string
	// Data is the content of the file. nil means that File is opened; else
	// File only tells name and format.
	Data []byte
	// Prefix begins the name of each environment variable; empty means
	// [DefaultPrefix].
	Prefix string
	// Environ holds the environment as NAME=value. nil means [os.Environ]; an
	// empty slice means no environment.
	Environ []string
}

// Config is one configuration, read and not yet decoded. It is immutable, and
// printing it, in whatever way, shows no value.
type Config struct {
	file   string
	prefix string // with the underscore
	env    []variable
	// Values stand behind functions, where printing by reflection ends.
	root func() *node // an object
}

type variable struct {
	name  string
	value func() string
}

// Load reads the file and the environment that opts name; nil means the zero
// Options. It reports what can be found without knowing the options: errors
// match [ErrFile], [ErrMalformed] or [ErrDuplicate].
func Load(opts *Options) (*Config, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := &Config{file: opts.File, prefix: opts.Prefix}
	c.setRoot(&node{kind: object})
	if c.prefix == "" {
		c.prefix = DefaultPrefix
	}
	c.prefix += "_"

	environ := opts.Environ
	if environ == nil {
		environ = os.Environ()
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, c.prefix) || value == "" {
			continue
		}
		if !utf8.ValidString(value) {
			return nil, &Error{Code: CodeMalformed, Source: name, Text: "is not UTF-8"}
		}
		c.env = append(c.env, variable{name, func() string { return value }})
	}

	if opts.File == "" {
		return c, nil
	}
	parse := parserFor(opts.File)
	if parse == nil {
		return nil, &Error{
			Code: CodeFile, Source: opts.File,
			Text: "unknown kind of configuration file",
			Hint: "name it .yaml, .yml, .json or .toml",
		}
	}
	data := opts.Data
	if data == nil {
		var err error
		if data, err = readFile(opts.File); err != nil {
			return nil, err
		}
	}
	root, err := parseTree(opts.File, data, parse)
	if err != nil {
		return nil, err
	}
	c.setRoot(root)
	return c, nil
}

func (c *Config) setRoot(n *node) { c.root = func() *node { return n } }

// format is yaml, json or toml, by the file's name; anything else is none.
func format(file string) string {
	ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	if ext == "yml" {
		return "yaml"
	}
	return ext
}

func parserFor(file string) func(*builder, []byte) (*node, error) {
	switch format(file) {
	case "yaml":
		return parseYAML
	case "json":
		return parseJSON
	case "toml":
		return parseTOML
	}
	return nil
}

func readFile(name string) ([]byte, error) {
	fail := func(text string, err error) error {
		return &Error{Code: CodeFile, Source: name, Text: text, Err: err}
	}
	// Opening a pipe would wait for its writer, and nothing could break that off.
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail("no such configuration file", err)
	}
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fail("the configuration is not a regular file", nil)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail("cannot open the configuration file: "+reason(err), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fail("cannot read the configuration file: "+reason(err), err)
	}
	if len(data) > maxFile {
		return nil, fail(fmt.Sprintf("the configuration file is larger than %d MiB", maxFile>>20), nil)
	}
	return data, nil
}

// reason is err without the file's name, which the line names already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Namespaces returns the sections that the file holds, in its order.
func (c *Config) Namespaces() []string {
	var names []string
	for _, m := range c.root().members {
		names = append(names, m.name)
	}
	return names
}

// Section returns the section of a namespace. A section that the file does
// not hold is empty; the environment may still fill it.
func (c *Config) Section(namespace string) Section {
	return Section{cfg: c, name: namespace}
}

// belongs reports whether the variable can only be meant for the namespace.
func (c *Config) belongs(variable, namespace string) bool {
	return strings.HasPrefix(variable, c.prefix+envWord(namespace)+"_")
}

// at names a line of the file.
func (c *Config) at(line int) string {
	if line == 0 {
		return c.file
	}
	return fmt.Sprintf("%s:%d", c.file, line)
}

// envWord turns a name into its part of a variable's name.
func envWord(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
