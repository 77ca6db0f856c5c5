package cometdsim

import "net"

// ParseBayeux parses what a client sent and returns each message as JSON, with
// the fields that the server looks at.
func ParseBayeux(body []byte) ([][]byte, error) {
	messages, err := parseBayeux(body)
	out := make([][]byte, len(messages))
	for i, m := range messages {
		out[i] = marshal(m)
	}
	return out, err
}

// NotJSON reports whether the error says that it is not JSON at all.
func NotJSON(err error) bool { return err == errNotJSON }

// ReadData reads the data of a publish.
func ReadData(data []byte) (values, userData map[string]string, op string, ok bool) {
	f, op, bad := readData(data)
	return f.Values, f.UserData, op, bad == nil
}

// WatchFrames returns a connection that watches the frames read from c, and what says whether there was a close frame of one
// byte.
func WatchFrames(c net.Conn) (net.Conn, func() bool) {
	f := &frameConn{Conn: c}
	return f, f.shortClose.Load
}
