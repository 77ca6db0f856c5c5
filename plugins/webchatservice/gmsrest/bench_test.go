package gmsrest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

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

// BenchmarkParse compares the parser with a plain decode of the same JSON into structs, which neither
// tolerates other types, nor keeps raw lines, nor hides keys.
func BenchmarkParse(b *testing.B) {
	body := twentyLines()
	key := chat.NewSecret("9f31c07a55e2d8b4")
	b.Run("gmsrest", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := gmsrest.Parse(body, key, true); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var a struct {
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
			if err := json.Unmarshal(body, &a); err != nil {
				b.Fatal(err)
			}
		}
	})
}
