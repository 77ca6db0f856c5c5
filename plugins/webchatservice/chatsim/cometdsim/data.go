package cometdsim

import (
	"bytes"
	"encoding/json"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// readData reads the data of a publish (wire-gms B.2): scalars are parameters,
// userData and eventAttributes objects. The form is never nil.
func readData(data json.RawMessage) (f *gmssim.Form, op string, bad *gmssim.Error) {
	f = gmssim.NewForm()
	fields, ok := objectOf(data)
	if !ok {
		return f, "", refusal("data must be an object")
	}
	for name, value := range fields {
		switch {
		case name == "auth", string(value) == "null":
		case name == "userData":
			if e := addUserData(f, value); e != nil {
				bad = e
			}
		case name == "eventAttributes" && value[0] == '{':
			f.Values[name] = string(value)
		case name == "eventAttributes":
			bad = refusal("eventAttributes must be an object")
		default:
			if text, ok := scalar(value); ok {
				f.Values[name] = text
			}
		}
	}
	op = f.Get("operation")
	delete(f.Values, "operation")
	if op == "" {
		bad = refusal("operation needed")
	}
	return f, op, bad
}

func addUserData(f *gmssim.Form, value json.RawMessage) *gmssim.Error {
	fields, ok := objectOf(value)
	if !ok {
		return refusal("userData must be an object")
	}
	for key, v := range fields {
		text, ok := scalar(v)
		if !ok {
			// Attached data hold texts alone (wire-gms A.3), so what is no text becomes its JSON. No source says that a
			// server refuses it.
			text = compact(v)
		}
		f.UserData[key] = text
	}
	return nil
}

// compact returns JSON without white space.
func compact(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		panic("cometdsim: JSON that has been read is none") // objectOf has read it
	}
	return b.String()
}

// scalar returns a string's value, or a number or a boolean as text; null is
// the empty string.
func scalar(value json.RawMessage) (string, bool) {
	switch value[0] {
	case '{', '[':
		return "", false
	case '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err == nil
	case 'n':
		return "", true
	}
	return string(value), true
}

func refusal(advice string) *gmssim.Error {
	e := gmssim.BadRequest(advice)
	return &e
}
