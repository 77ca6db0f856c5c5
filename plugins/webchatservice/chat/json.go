package chat

import "errors"

// JSON is raw JSON of a server, as it came less its secrets. It prints as text. It is nil where there is none.
// In all else it is a [encoding/json.RawMessage], and goes wherever a []byte goes.
type JSON []byte

// String returns the JSON as text, "" for nil.
func (j JSON) String() string { return string(j) }

// MarshalJSON returns j itself, and null for nil.
func (j JSON) MarshalJSON() ([]byte, error) {
	if j == nil {
		return []byte("null"), nil
	}
	return j, nil
}

// UnmarshalJSON keeps a copy of the JSON.
func (j *JSON) UnmarshalJSON(b []byte) error {
	if j == nil {
		return errors.New("chat.JSON: UnmarshalJSON on nil pointer")
	}
	*j = append((*j)[:0], b...)
	return nil
}
