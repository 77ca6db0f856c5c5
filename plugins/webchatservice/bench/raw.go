package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// answer is what a plain client makes of a response object with encoding/json.
type answer struct {
	StatusCode                       int
	ChatEnded                        bool
	ChatID, Alias, UserID, SecureKey string
	NextPosition                     int
	Messages                         []struct {
		From struct {
			Nickname, Type string
			ParticipantID  int
		}
		Index                   int64
		Type, Text, MessageType string
		UTCTime                 int64
	}
}

// decoder reads a response object and returns its lines' texts, of which a raw
// client wants the last.
type decoder func(body []byte) (lines int, last string, err error)

// plain decodes with encoding/json.
func plain(body []byte) (int, string, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || len(a.Messages) == 0 {
		return 0, "", err
	}
	return len(a.Messages), a.Messages[len(a.Messages)-1].Text, nil
}

var key = chat.NewSecret("9f31c07a55e2d8b4")

// same decodes as the driver does: whatever the types, without the keys, with
// the raw lines.
func same(body []byte) (int, string, error) {
	return sameLast(gms.Parse(body, true, key))
}

// sameValid is same for a part of what has been found valid.
func sameValid(body []byte) (int, string, error) {
	return sameLast(gms.ParseValid(body, false, key))
}

func sameLast(a gms.Answer, err error) (int, string, error) {
	if err != nil || len(a.Messages) == 0 {
		return 0, "", err
	}
	return len(a.Messages), a.Messages[len(a.Messages)-1].Text, nil
}

// poller polls one chat over REST with net/http and nothing else.
type poller struct {
	client *http.Client
	root   string
	form   url.Values
}

func (p *poller) post(ctx context.Context, path string, form url.Values, decode decoder) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.root+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if p.form == nil {
		var a answer
		if err := json.Unmarshal(body, &a); err != nil {
			return err
		}
		p.root += "/" + a.ChatID + "/"
		p.form = url.Values{"secureKey": {a.SecureKey}, "userId": {a.UserID}, "alias": {a.Alias}, "transcriptPosition": {"2"}, "message": {""}}
		return nil
	}
	_, _, err = decode(body)
	return err
}

func (p *poller) start(ctx context.Context, nickname string) error {
	return p.post(ctx, "/", url.Values{"nickname": {nickname}}, nil)
}

func (p *poller) poll(ctx context.Context, decode decoder) error {
	return p.post(ctx, "refresh", p.form, decode)
}

// bayeuxMessage is one of those that a raw client reads.
type bayeuxMessage struct {
	Channel, ClientID string
	Successful        *bool
	Data              json.RawMessage
}

// deliveries takes a transport unit apart with encoding/json, and calls f for the data of
// each delivery. It reports whether a held connect was answered.
func deliveries(unit []byte, f func(data []byte) error) (answered bool, err error) {
	var all []bayeuxMessage
	if err := json.Unmarshal(unit, &all); err != nil {
		return false, err
	}
	for _, m := range all {
		switch {
		case m.Channel == "/meta/connect":
			answered = true
		case m.Successful == nil && m.Data != nil:
			if err := f(m.Data); err != nil {
				return false, err
			}
		}
	}
	return answered, nil
}

// sameDeliveries is deliveries as the driver does it.
func sameDeliveries(unit []byte, f func(data []byte) error) (answered bool, err error) {
	if !wirejson.Valid(unit) {
		return false, errors.New("no JSON")
	}
	wirejson.EachElement(unit, func(raw []byte) {
		var channel, id, client string
		var data []byte
		reply := false
		wirejson.EachMember(raw, func(name, value []byte) {
			switch string(name) {
			case "channel":
				channel = wirejson.Scalar(value)
			case "id":
				id = wirejson.Scalar(value)
			case "clientId":
				client = wirejson.Scalar(value)
			case "successful":
				reply = true
			case "data":
				data = value
			}
		})
		_, _ = id, client
		switch {
		case channel == "/meta/connect":
			answered = true
		case !reply && data != nil && err == nil:
			err = f(data)
		}
	})
	return answered, err
}

// splitter is deliveries or sameDeliveries.
type splitter func(unit []byte, f func(data []byte) error) (bool, error)

// shake is what both carriers begin with: handshake, connect, and the request for
// a chat. talk sends a unit and returns the first one that is to it.
func shake(nickname, carrier string, talk func(unit string, suffix string) ([]byte, error)) (client string, err error) {
	unit, err := talk(`[{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["`+carrier+`"]}]`, "handshake")
	if err != nil {
		return "", err
	}
	var all []bayeuxMessage
	if err := json.Unmarshal(unit, &all); err != nil {
		return "", err
	}
	if len(all) == 0 || all[0].ClientID == "" {
		return "", fmt.Errorf("no handshake: %s", unit)
	}
	client = all[0].ClientID
	if _, err = talk(connect("2", client, carrier, `,"advice":{"timeout":0}`), "connect"); err != nil {
		return "", err
	}
	_, err = talk(`[{"id":"3","channel":"`+chatChannel+`","clientId":"`+client+`","data":{"operation":"requestChat","nickname":"`+nickname+`"}}]`, "")
	return client, err
}

func connect(id, client, carrier, rest string) string {
	return `[{"id":"` + id + `","channel":"/meta/connect","clientId":"` + client + `","connectionType":"` + carrier + `"` + rest + `}]`
}

// rawSocket is a gorilla websocket with a goroutine that reads and one that
// writes, and nothing else.
type rawSocket struct {
	conn   *websocket.Conn
	client string
	out    chan []byte
	wg     sync.WaitGroup
}

// rawDialer has the buffers of the driver's, or else the memory would not compare.
func rawDialer(buffer int) *websocket.Dialer {
	return &websocket.Dialer{ReadBufferSize: buffer, WriteBufferSize: buffer, WriteBufferPool: &sync.Pool{}}
}

// dialRaw makes a chat on a websocket. f gets the data of each delivery from
// then on.
func dialRaw(ctx context.Context, d *websocket.Dialer, address, nickname string, split splitter, f func(data []byte) error) (*rawSocket, error) {
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(address, "http"), nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close() // it has none
	s := &rawSocket{conn: conn, out: make(chan []byte, 1)}
	s.client, err = shake(nickname, "websocket", func(unit, _ string) ([]byte, error) {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(unit)); err != nil {
			return nil, err
		}
		_, got, err := conn.ReadMessage()
		return got, err
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.wg.Go(func() {
		for unit := range s.out {
			if s.conn.WriteMessage(websocket.TextMessage, unit) != nil {
				_ = s.conn.Close() // the reader ends
			}
		}
	})
	s.out <- []byte(connect("4", s.client, "websocket", ""))
	s.wg.Go(func() {
		defer close(s.out)
		s.read(split, f)
	})
	return s, nil
}

// read reads until the websocket ends.
func (s *rawSocket) read(split splitter, f func(data []byte) error) {
	for id := 5; ; id++ {
		_, unit, err := s.conn.ReadMessage()
		if err != nil {
			return
		}
		answered, err := split(unit, f)
		if err != nil {
			return
		}
		if answered {
			s.out <- []byte(connect(strconv.Itoa(id), s.client, "websocket", ""))
		}
	}
}

func (s *rawSocket) close() {
	_ = s.conn.Close()
	s.wg.Wait()
}

// rawLongPoll is a chat by long-polling with net/http.
type rawLongPoll struct {
	http   http.Client
	root   string
	client string
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

func (l *rawLongPoll) post(ctx context.Context, unit, suffix string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.root+"/"+suffix, bytes.NewReader([]byte(unit)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json;charset=UTF-8")
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written to it
	return io.ReadAll(resp.Body)
}

// pollRaw makes a chat by long-polling. f gets the data of each delivery.
func pollRaw(ctx context.Context, transport http.RoundTripper, address, nickname string, split splitter, f func(data []byte) error) (*rawLongPoll, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	l := &rawLongPoll{http: http.Client{Transport: transport, Jar: jar}, root: address}
	if l.client, err = shake(nickname, "long-polling", func(unit, suffix string) ([]byte, error) { return l.post(ctx, unit, suffix) }); err != nil {
		return nil, err
	}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.wg.Go(func() {
		for id := 4; ; id++ {
			unit, err := l.post(ctx, connect(strconv.Itoa(id), l.client, "long-polling", ""), "connect")
			if err != nil {
				return
			}
			if _, err := split(unit, f); err != nil {
				return
			}
		}
	})
	return l, nil
}

func (l *rawLongPoll) close() {
	l.stop()
	l.wg.Wait()
}
