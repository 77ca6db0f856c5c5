package gmscometd_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
)

// Whatever a server delivers, it can be taken in, and the key shows nowhere in the event.
func FuzzDeliver(f *testing.F) {
	const key = "geheim-0123456789"
	for _, seed := range []string{
		`{"statusCode":0,"chatEnded":true,"messages":[{"index":1,"type":"Message","text":"x","from":{"type":"Client"}}]}`,
		`{"statusCode":0,"messages":[{"index":1,"type":"Message","text":"geheim-0123456789","from":{"type":"Agent"}}]}`,
		`{"statusCode":1,"chatId":"c","secureKey":"\u0067eheim-0123456789"}`, `{"errors":[{"code":8210,"advice":"geheim-0123456789"}]}`,
		`{"statusCode":"0","messages":{"index":1},"errors":7}`, `{"statusCode":0,"statusCode":2,"messages":[[],{"index":9}]}`, `[]`, `"x"`,
	} {
		f.Add([]byte(seed))
	}
	d, err := gmscometd.New(gmscometd.Config{CometURL: "https://gms.example.net/genesys/cometd"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !utf8.Valid(data) { // the Bayeux client delivers no such data
			return
		}
		ev, err := d.Deliver(chat.NewSecret(key), data)
		if err != nil {
			return
		}
		if bytes.Contains(ev.Raw, []byte(key)) {
			t.Fatal("the key shows")
		}
		for _, m := range ev.Messages {
			if bytes.Contains(m.Raw, []byte(key)) || bytes.Contains([]byte(m.Text), []byte(key)) {
				t.Fatal("the key shows in a line")
			}
		}
	})
}
