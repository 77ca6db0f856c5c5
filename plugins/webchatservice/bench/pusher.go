package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// What the servers and the clients agree on.
const (
	chatChannel = "/service/chatV2/customer-support"
	lineText    = "a line of a conversation of ordinary length"
	chatKeys    = `"statusCode":0,"chatId":"0001HaF3KQ9B00A1","alias":"204","userId":"00D45B1F2C7A0033","secureKey":"9f31c07a55e2d8b4","chatEnded":false`
)

// appendLine appends one line of a transcript.
func appendLine(b []byte, index int64, text string) []byte {
	b = append(b, `{"from":{"nickname":"Ann","participantId":2,"type":"Agent"},"index":`...)
	b = strconv.AppendInt(b, index, 10)
	b = append(b, `,"type":"Message","text":"`...)
	b = append(b, text...)
	b = append(b, `","messageType":"text","utcTime":`...)
	b = strconv.AppendInt(b, 1709280000000+index, 10)
	return append(b, '}')
}

// appendAnswer appends a response object with lines from index first on.
func appendAnswer(b []byte, first int64, lines int, text string) []byte {
	b = append(b, '{')
	b = append(b, chatKeys...)
	b = append(b, `,"nextPosition":`...)
	b = strconv.AppendInt(b, first+int64(lines), 10)
	b = append(b, `,"messages":[`...)
	for i := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLine(b, first+int64(i), text)
	}
	return append(b, "]}"...)
}

// pusher is a Bayeux server on websockets that does next to nothing but push: it
// is there to be faster than its clients, which the simulator, as strict and as
// complete as it is, need not be.
type pusher struct {
	upgrader websocket.Upgrader
	running  sync.WaitGroup

	mu      sync.Mutex
	sockets []*pushed
}

// pushed is one websocket with its chat.
type pushed struct {
	conn *websocket.Conn

	mu    sync.Mutex // for writing
	index int64      // of the last line
	b     []byte
}

func newPusher() *pusher {
	return &pusher{upgrader: websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{}}}
}

func (p *pusher) close() {
	p.mu.Lock()
	for _, s := range p.sockets {
		_ = s.conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// ServeHTTP serves one websocket.
func (p *pusher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := p.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s := &pushed{conn: conn}
	p.mu.Lock()
	p.running.Add(1)
	p.sockets = append(p.sockets, s)
	p.mu.Unlock()
	defer p.running.Done()
	for s.serve() == nil {
	}
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sockets = slices.DeleteFunc(p.sockets, func(x *pushed) bool { return x == s })
}

// serve answers what one frame asks for.
func (s *pushed) serve() error {
	var all []struct {
		ID, Channel string
		Advice      *struct{}
		Data        *struct{ Operation string }
	}
	if err := s.conn.ReadJSON(&all); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range all {
		reply := fmt.Sprintf(`{"id":%q,"channel":%q,"clientId":"c1","successful":true`, m.ID, m.Channel)
		switch {
		case m.Channel == "/meta/handshake":
			reply += `,"version":"1.0","supportedConnectionTypes":["websocket"],"advice":{"reconnect":"retry","interval":0,"timeout":600000}`
		case m.Channel == "/meta/connect" && m.Advice == nil:
			continue // it is held
		}
		if err := s.conn.WriteMessage(websocket.TextMessage, []byte("["+reply+"}]")); err != nil {
			return err
		}
		if m.Data == nil {
			continue
		}
		data := appendAnswer(nil, s.index+1, 1, "welcome")
		s.index++
		if m.Data.Operation == "disconnect" {
			data = []byte(`{"statusCode":0,"chatEnded":true,"messages":[]}`)
		}
		if err := s.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `[{"channel":%q,"data":%s}]`, chatChannel, data)); err != nil {
			return err
		}
	}
	return nil
}

// frameLocked appends the frame of a delivery to what is to be written.
func (s *pushed) frameLocked(text string) {
	s.index++
	at := len(s.b)
	s.b = append(s.b, 0x81, 126, 0, 0) // final, text, a length of two bytes
	s.b = append(s.b, `[{"channel":"`+chatChannel+`","data":`...)
	s.b = appendAnswer(s.b, s.index, 1, text)
	s.b = append(s.b, "}]"...)
	n := len(s.b) - at - 4
	s.b[at+2], s.b[at+3] = byte(n>>8), byte(n)
}

func (s *pushed) flushLocked() error {
	_, err := s.conn.NetConn().Write(s.b)
	s.b = s.b[:0]
	return err
}

// control pushes n lines: as fast as they are taken, or at a rate, in turn to
// all who are there. Each begins with the time in ns since 1970.
func (p *pusher) control(w http.ResponseWriter, r *http.Request) {
	n, rate := atoi(r.FormValue("n")), atoi(r.FormValue("rate"))
	p.mu.Lock()
	sockets := slices.Clone(p.sockets)
	p.mu.Unlock()
	if len(sockets) == 0 {
		http.Error(w, "nobody is there", http.StatusConflict)
		return
	}
	var err error
	begun := time.Now()
	for i := 0; i < n && err == nil; i++ {
		s := sockets[i%len(sockets)]
		s.mu.Lock()
		if rate == 0 {
			s.frameLocked(lineText)
			if len(s.b) > 48<<10 || i >= n-len(sockets) {
				err = s.flushLocked()
			}
		} else {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			s.frameLocked(strconv.FormatInt(time.Now().UnixNano(), 10) + " " + lineText)
			err = s.flushLocked()
		}
		s.mu.Unlock()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(w).Encode(n)
}
