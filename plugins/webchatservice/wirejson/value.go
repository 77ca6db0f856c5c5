package wirejson

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// What [Value] finds wrong with a text, besides syntax.
var (
	ErrEmpty = errors.New("answer is empty")
	ErrHTML  = errors.New("answer is a web page (HTML), not JSON")
	ErrUTF8  = errors.New("answer is not valid UTF-8")
)

// Value returns the JSON value that body consists of, without the space around it. Its error is [ErrEmpty]; [ErrHTML]
// for what begins as a web page does, as proxies and login pages answer; [ErrUTF8] for text that encoding/json would
// change while reading it; else a [*json.SyntaxError], which says where. [Unreadable] puts each of them into words.
func Value(body []byte) ([]byte, error) {
	body = bytes.Trim(body, " \t\r\n") // what is space in JSON, and no more
	switch {
	case len(body) == 0:
		return nil, ErrEmpty
	case body[0] == '<':
		return nil, ErrHTML
	case Valid(body):
		return body, nil
	case !utf8.Valid(body):
		return nil, ErrUTF8
	}
	var v json.RawMessage
	return nil, json.Unmarshal(body, &v)
}
