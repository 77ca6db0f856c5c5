package gmssim

import "strings"

// ParseForm parses a request body and returns what operations see of it.
func ParseForm(contentType, body string) (values, userData map[string]string, err error) {
	f, err := ReadForm(contentType, strings.NewReader(body), 1<<20, 1<<20)
	if err != nil {
		return nil, nil, err
	}
	return f.Values, f.UserData, nil
}
