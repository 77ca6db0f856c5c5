package gmsrest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// twentyLines is a poll's answer with twenty lines.
func twentyLines() []byte {
	lines := make([]string, 20)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"from":{"nickname":"Ann","participantId":2,"type":"Agent"},"index":%d,"type":"Message",`+
			`"text":"line %d of a conversation of ordinary length","messageType":"text","utcTime":%d}`, i+1, i, 1709280000000+i)
	}
	return []byte(`{"statusCode":0,"chatId":"0001HaF3KQ9B00A1","alias":"204","userId":"00D45B1F2C7A0033","secureKey":"9f31c07a55e2d8b4",` +
		`"nextPosition":21,"chatEnded":false,"messages":[` + strings.Join(lines, ",") + `]}`)
}

// decoded is what a plain client makes of an answer: no tolerance for other types, no raw lines, no hidden
// keys.
type decoded struct {
	StatusCode                       int
	ChatEnded                        bool
	ChatID, Alias, UserID, SecureKey string
	NextPosition                     int
	Messages                         []struct {
		From struct {
			Nickname, Type string
			ParticipantID  int
		}
		Index                   int
		Type, Text, MessageType string
		UTCTime                 int64
	}
}

// BenchmarkTwentyLines compares the way of an answer from its body to an event with a plain decode of the
// same JSON.
func BenchmarkTwentyLines(b *testing.B) {
	body := twentyLines()
	b.Run("gmsrest", func(b *testing.B) {
		taker := gmsrest.NewTaker(chat.NewSecret("9f31c07a55e2d8b4"))
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			ev, err := taker.Take(b.Context(), body)
			if err != nil || len(ev.Messages) != 20 {
				b.Fatal(len(ev.Messages), err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var a decoded
			if err := json.Unmarshal(body, &a); err != nil || len(a.Messages) != 20 {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPoll compares a poll that brings nothing with the same request made with net/http, and the same
// answer decoded. The server is next to nothing. Run it with -cpu 1: then the time is the work.
func BenchmarkPoll(b *testing.B) {
	const answer = `{"statusCode":0,"chatId":"0001HaF3KQ9B00A1","alias":"204","userId":"00D45B1F2C7A0033",` +
		`"secureKey":"9f31c07a55e2d8b4","nextPosition":7,"chatEnded":false,"messages":[]}`
	address := canned(b, answer)
	b.Run("gmsrest", func(b *testing.B) {
		d, err := gmsrest.New(gmsrest.Config{DataURL: address}, &chat.Options{})
		require.NoError(b, err)
		defer d.CloseIdleConnections()
		conn, err := d.Open(b.Context(), chat.Request{Nickname: "Ada"})
		require.NoError(b, err)
		defer conn.Close()
		poller := conn.(chat.Poller)
		_, err = conn.Receive(b.Context())
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := poller.Poll(b.Context()); err != nil {
				b.Fatal(err)
			}
			if _, err := conn.Receive(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			resp, err := client.PostForm(address+"/0001HaF3KQ9B00A1/refresh", url.Values{
				"secureKey": {"9f31c07a55e2d8b4"}, "userId": {"00D45B1F2C7A0033"}, "alias": {"204"},
				"transcriptPosition": {"7"}, "message": {""},
			})
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			var a decoded
			if err != nil || json.Unmarshal(body, &a) != nil {
				b.Fatal(err)
			}
		}
	})
}

// canned is a server that gives one answer to everything, at its address.
func canned(b *testing.B, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	full := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer))
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for length := 0; ; {
			line, err := r.ReadSlice('\n')
			switch {
			case err != nil:
				return
			case bytes.HasPrefix(line, []byte("Content-Length: ")):
				length, _ = strconv.Atoi(string(bytes.TrimSpace(line[16:])))
			case len(line) == 2:
				if _, err := r.Discard(length); err != nil {
					return
				}
				if _, err := c.Write(full); err != nil {
					return
				}
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	b.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}
