package cometdsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// A chat that the agent ends, on either carrier: the last events come with the
// end (wire-gms B.3).
func TestAgentEndsOnEitherCarrier(t *testing.T) {
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := open(t, sim)
				b.start()
				seat := b.agent()
				require.NoError(t, seat.End())
				if b.ws == nil {
					assert.Equal(t, []string{"data 2", "data 3,4 end", "/meta/connect ok"}, texts((<-b.connect()).messages))
				} else {
					assert.Equal(t, []string{"data 2", "data 3,4 end"}, texts(b.got()))
				}
				assert.Empty(t, cometdsim.Of(sim).Clients()[0].Chats)
				b.end()
			})
		})
	}
}

// The session belongs to the cookie of its handshake (wire-gms B.1, D.2).
func TestCookieIsChecked(t *testing.T) {
	for _, lax := range []bool{false, true} {
		opts := alone(cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{NoBrowserCookie: lax}}))
		bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
			b := polling(t, sim)
			stranger := newBayeux(t, sim)
			stranger.id = b.id
			status, _, got, err := stranger.post("/connect", "["+stranger.connectMessage("advice", `{"timeout":0}`)+"]")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			assert.Equal(t, lax, got[0].ok())
			if !lax {
				assert.Equal(t, []string{"/meta/connect 402::Unknown client"}, texts(got))
			}
		})
	}
}

// wire-gms B.2: every operation, on either carrier, is what it is over REST.
func TestBayeuxOperations(t *testing.T) {
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b := open(t, sim)
				b.start("nickname", `"Ada"`, "firstName", `"Ada"`, "lastName", `"Byron"`, "subject", `"Bill"`,
					"emailAddress", `"ada@example.net"`, "userData", `{"a":"1","n":2,"z":null}`,
					"text", `""`, "chatId", `""`, "alias", `""`, "secureKey", `""`, "userId", `""`)
				for _, c := range []struct {
					operation string
					pairs     []string
					want      string
				}{
					{"sendMessage", []string{"message", `"Hi \u00e9"`, "messageType", `"odd"`, "eventAttributes", `{"x":{"y":1}}`}, "Message Ada: Hi é"},
					{"startTyping", []string{"message", `"He"`}, "TypingStarted Ada: He"},
					{"stopTyping", nil, "TypingStopped Ada"},
					{"pushUrl", []string{"pushUrl", `"https://example.net/?a=b&c=d"`}, "PushUrl Ada: https://example.net/?a=b&c=d"},
					{"customNotice", []string{"message", `"note"`}, "CustomNotice Ada: note"},
					{"customNotice", []string{"eventAttributes", `{"purpose":"cancel-idle-timer"}`}, "CustomNotice Ada"},
					{"updateNickname", []string{"nickname", `"Countess"`}, "NicknameUpdated Countess"},
					{"updateData", []string{"userData", `{"b":"3"}`}, ""},
					{"readReceipt", []string{"transcriptPosition", `3`}, ""},
					{"readReceipt", []string{"transcriptPosition", `"4"`}, ""},
				} {
					got := b.do(c.operation, c.pairs...)
					require.Len(t, got, 1, c.operation)
					assert.Zero(t, got[0].StatusCode, c.operation)
					assert.Equal(t, b.chat, got[0].ChatID)
					assert.NotNil(t, got[0].ChatEnded)
					assert.Equal(t, c.want, strings.Join(got[0].Lines(), "|"), c.operation)
				}
				s := b.side().Snapshot()
				assert.Equal(t, chatsim.Visitor{Nickname: "Ada", FirstName: "Ada", LastName: "Byron", Email: "ada@example.net", Subject: "Bill"}, s.Visitor)
				assert.Equal(t, map[string]string{"a": "1", "n": "2", "z": "", "b": "3"}, s.UserData)
				assert.Equal(t, 4, s.ReadUpTo)
				assert.Equal(t, "odd", s.Events[1].MessageType)
				assert.JSONEq(t, `{"x":{"y":1}}`, string(s.Events[1].Attributes))
				got := b.do("disconnect")
				require.Len(t, got, 1)
				assert.True(t, got[0].Ended())
				assert.Equal(t, chatsim.EndedByVisitor, b.side().Snapshot().Reason)
				b.end()
			})
		})
	}
}

// wire-gms B.3: what is refused is refused by a delivery.
func TestBayeuxOperationRefused(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		for _, c := range []struct {
			pairs []string
			code  int
		}{
			{[]string{"firstName", `"Ada"`}, gmssim.CodeNoLastName},
			{[]string{"nickname", `""`}, gmssim.CodeNoName},
			{[]string{"nickname", `"Ada"`, "emailAddress", `"nowhere"`}, gmssim.CodeBadEmail},
			{[]string{"nickname", `"Ada"`, "userData", `[]`}, gmssim.CodeBadRequest},
		} {
			got := b.do("requestChat", c.pairs...)
			require.Len(t, got, 1)
			assert.Equal(t, c.code, got[0].Code())
			assert.Equal(t, 2, got[0].StatusCode)
		}
		assert.Empty(t, sim.Chats())

		b.start()
		key := b.key
		for _, c := range []struct {
			key, operation string
			pairs          []string
			code           int
			ended          bool
		}{
			{key, "sendMessage", []string{"message", `""`}, gmssim.CodeBadRequest, false},
			{key, "sendMessage", []string{"message", `"` + strings.Repeat("x", 14701) + `"`}, gmssim.CodeTooLong, false},
			{key, "sendMessage", []string{"message", `"a"`, "eventAttributes", `"{}"`}, gmssim.CodeBadRequest, false},
			{key, "sendMessage", []string{"message", `["a"]`}, gmssim.CodeBadRequest, false},
			{key, "send", []string{"message", `"a"`}, gmssim.CodeBadRequest, false},
			{key, "", nil, gmssim.CodeBadRequest, false},
			{key, "refresh", []string{"transcriptPosition", `"x"`}, gmssim.CodeBadRequest, false},
			{key, "requestNotifications", []string{"transcriptPosition", `1.5`}, gmssim.CodeBadRequest, false},
			{"wrong", "sendMessage", []string{"message", `"a"`}, gmssim.CodeNoSuchUser, true},
			{"wrong", "sendMessage", []string{"chatId", `"` + b.chat + `"`, "message", `"a"`}, gmssim.CodeBadKey, false},
			{"wrong", "requestNotifications", []string{"chatId", `"` + b.chat + `"`}, gmssim.CodeBadKey, false},
		} {
			b.key = c.key
			got := b.do(c.operation, c.pairs...)
			require.Len(t, got, 1, c.operation)
			assert.Equal(t, 2, got[0].StatusCode, c.operation)
			assert.Equal(t, c.code, got[0].Code(), "%s %.80q", c.operation, c.pairs)
			assert.Equal(t, c.ended, got[0].Ended(), c.operation)
		}
		for channel, code := range map[string]int{"/service/chatV2/nothing": gmssim.CodeUnknownService, cometdsim.Channel(sim): gmssim.CodeBadRequest} {
			data := `{"operation":"requestChat","nickname":"Ada"}`
			if code == gmssim.CodeBadRequest {
				data = `"x"`
			}
			got := b.call(b.message(channel, "data", data))
			require.Len(t, got, 2)
			assert.Equal(t, channel, got[1].Channel)
			assert.Equal(t, code, got[1].Data.Code())
		}
		assert.Empty(t, b.side().Snapshot().Lines(chatsim.Client))
		b.key = key
		b.do("disconnect")
		assert.Equal(t, gmssim.CodeNoSuchUser, b.do("sendMessage", "message", `"late"`)[0].Code())
		b.end()
	})
}

// wire-gms B.2, C.2: what each position asks for; it is for the asker alone.
func TestBayeuxPositions(t *testing.T) {
	for name, open := range carriers {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				b, other := open(t, sim), open(t, sim)
				b.start()
				for _, line := range []string{"two", "three", "four"} {
					b.do("sendMessage", "message", fmt.Sprintf("%q", line))
				}
				other.key = b.key
				for position, want := range map[string][]int{
					`-1`: {4}, `0`: nil, `1`: {1, 2, 3, 4}, `3`: {3, 4}, `"2"`: {2, 3, 4}, `9`: nil, `null`: {1, 2, 3, 4},
				} {
					got := other.do("refresh", "transcriptPosition", position)
					require.Len(t, got, 1)
					assert.Equal(t, want, got[0].Indices(), "refresh %s", position)
				}
				assert.Empty(t, cometdsim.Of(sim).Clients()[0].Queued+cometdsim.Of(sim).Clients()[1].Queued)
				assert.Len(t, attached(sim), 1, "refresh attaches nobody")
				for position, want := range map[string][]int{
					`0`: {1, 2, 3, 4}, `1`: {1, 2, 3, 4}, `3`: {3, 4}, `"4"`: {4}, `5`: nil, `null`: {1, 2, 3, 4},
				} {
					got := other.do("requestNotifications", "transcriptPosition", position, "userData", `{"k":"v"}`, "message", `""`)
					require.Len(t, got, 1)
					assert.Equal(t, want, got[0].Indices(), "requestNotifications %s", position)
				}
				assert.Len(t, attached(sim), 2)
				assert.Equal(t, "v", b.side().Snapshot().UserData["k"])
				b.do("disconnect")
				other.ackAndMore(other.got())
				got := other.do("requestNotifications", "transcriptPosition", "5")
				require.Len(t, got, 1)
				assert.True(t, got[0].Ended())
				assert.Equal(t, []int{5}, got[0].Indices())
				b.end()
				other.end()
			})
		})
	}
}

// attached returns the sessions that get a chat's events.
func attached(sim *chatsim.Server) []cometdsim.Client {
	var out []cometdsim.Client
	for _, c := range cometdsim.Of(sim).Clients() {
		if len(c.Chats) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// Every session of one chat gets everything, in order and once; or only the
// one that asked last.
func TestInstances(t *testing.T) {
	for _, newest := range []bool{false, true} {
		opts := alone(cometdsim.New(&cometdsim.Options{Quirks: cometdsim.Quirks{NewestOnly: newest}}))
		bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
			one, two, three := socketed(t, sim), socketed(t, sim), polling(t, sim)
			one.start()
			two.key, three.key = one.key, one.key
			assert.Equal(t, []int{1}, two.do("requestNotifications")[0].Indices())
			assert.Equal(t, []int{1}, three.do("requestNotifications", "transcriptPosition", "0")[0].Indices())
			poll := three.connect()
			say(t, one.agent(), "Hello")
			if newest {
				assert.Empty(t, one.got())
				assert.Empty(t, two.got())
			} else {
				assert.Equal(t, []string{"data 2", "data 3"}, texts(one.got()))
				assert.Equal(t, []string{"data 2", "data 3"}, texts(two.got()))
			}
			// It was released by the first and may have taken the second too.
			events := strings.Join(texts((<-poll).messages), " ")
			if !strings.Contains(events, "data 3") {
				events += " " + strings.Join(texts(three.ackAndMore(nil)), " ")
			}
			assert.Contains(t, events, "data 2")
			assert.Contains(t, events, "data 3")
			if !newest {
				assert.Equal(t, []int{4}, two.do("sendMessage", "message", `"from two"`)[0].Indices())
				assert.Equal(t, []string{"data 4"}, texts(one.got()))
				assert.Equal(t, []string{"data 4"}, texts(three.ackAndMore(nil)))
				one.do("disconnect")
				assert.Equal(t, []string{"data 5,6 end"}, texts(two.got()))
				assert.Equal(t, []string{"data 5,6 end"}, texts(three.ackAndMore(nil)))
			}
			one.end()
			two.end()
		})
	}
}

// wire-gms B.7: an attached session is a sign of life; without one the usual
// silence counts.
func TestBayeuxSilence(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		b.start()
		for range 20 {
			time.Sleep(31 * time.Second)
			require.NotEmpty(t, b.got())
			b.connect()
		}
		assert.False(t, b.side().Snapshot().Ended)
		b.call(b.message("/meta/disconnect", "ext", `{"transcriptPosition":"1"}`))
		time.Sleep(44 * time.Second)
		assert.False(t, b.side().Snapshot().Ended)
		b.shake("websocket")
		b.do("requestNotifications")
		time.Sleep(9 * time.Second)
		b.call(b.connectMessage("advice", `{"timeout":0}`))
		time.Sleep(9 * time.Second)
		assert.False(t, b.side().Snapshot().Ended)
		time.Sleep(2*time.Second + 45*time.Second) // expired, then silent
		synctest.Wait()
		assert.Equal(t, chatsim.EndedBySilence, b.side().Snapshot().Reason)
		b.end()
	})
}

// wire-gms C: a long-lived chat over Bayeux, restored as Widgets does.
func TestBayeuxAsync(t *testing.T) {
	bubble(t, nil, func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		b.start("nickname", `"Ada"`, "userData", `{"GCTI_Chat_AsyncMode":"true"}`)
		time.Sleep(time.Second)
		b.got()
		b.publish("sendMessage", "message", `"bye"`)
		time.Sleep(5 * time.Second)
		b.got()
		b.end()
		time.Sleep(24 * time.Hour)
		assert.Empty(t, cometdsim.Of(sim).Clients())

		b.dial()
		b.shake("websocket")
		last := b.do("refresh", "transcriptPosition", "-1")[0]
		require.Len(t, last.Indices(), 1)
		assert.False(t, last.Ended(), "it outlives its agents")
		n := last.Indices()[0]
		page := b.do("requestNotifications", "transcriptPosition", fmt.Sprint(n-2), "userData", `{"GCTI_Chat_AsyncMode":"true"}`, "message", `""`)[0]
		assert.Equal(t, []int{n - 2, n - 1, n}, page.Indices())
		assert.Len(t, b.do("refresh", "transcriptPosition", "1")[0].Indices(), n, "history")
		b.publish("sendMessage", "message", `"again"`)
		time.Sleep(5 * time.Second)
		events := strings.Join(texts(b.got()), " ")
		assert.Contains(t, events, "data")
		assert.Contains(t, b.side().Snapshot().Lines(chatsim.Agent), "You said: again")
		b.end()
	})
}

// wire-gms B.4: files, with the events over Bayeux.
func TestChatNotify(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		b := socketed(t, sim)
		b.start()
		ask := func(contentType, body string) reply {
			t.Helper()
			r, err := post(sim, cometdsim.FilesURL(sim), contentType, body)
			require.NoError(t, err)
			return r
		}
		form := func(pairs ...string) reply {
			t.Helper()
			return ask(formType, values(pairs...).Encode())
		}
		upload := func(operation, name, data string) reply {
			t.Helper()
			parts := "--b\r\nContent-Disposition: form-data; name=\"secureKey\"\r\n\r\n" + b.key + "\r\n"
			if operation != "" {
				parts += "--b\r\nContent-Disposition: form-data; name=\"operation\"\r\n\r\n" + operation + "\r\n"
			}
			parts += "--b\r\nContent-Disposition: form-data; name=\"userData[file-description]\"\r\n\r\nmine\r\n" +
				"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\nContent-Type: text/plain\r\n\r\n" + data + "\r\n--b--\r\n"
			return ask("multipart/form-data; boundary=b", parts)
		}
		for _, operation := range []string{"fileGetLimits", "fileGetsLimits"} {
			r := form("operation", operation, "secureKey", b.key)
			require.Equal(t, []string{"Notice Ada: file-client-cfg-get"}, r.Lines())
			assert.Equal(t, "3", r.Messages[0].UserData["upload-max-files"])
		}
		r := upload("fileUpload", "a.txt", "data")
		id := r.UserData["file-id"]
		require.NotEmpty(t, id)
		got := b.got()
		require.Equal(t, []string{"data 2"}, texts(got))
		assert.Equal(t, "FileUploaded", got[0].Data.Messages[0].Type)
		assert.Equal(t, "mine", b.side().Snapshot().Files[0].UserData["file-description"])
		assert.NotEmpty(t, upload("", "b.txt", "more").UserData["file-id"], "one client leaves the operation out")
		assert.Equal(t, gmssim.CodeFileType, upload("fileUpload", "a.exe", "x").Code())
		require.Equal(t, []string{"data 3"}, texts(b.got()))

		r = form("operation", "fileDownload", "secureKey", b.key, "fileId", id)
		assert.Equal(t, "data", r.Body)
		assert.Equal(t, "attachment; filename=a.txt", r.Header.Get("Content-Disposition"))
		assert.Zero(t, form("operation", "fileDelete", "secureKey", b.key, "fileId", id).StatusCode)
		assert.Equal(t, "FileDeleted", b.got()[0].Data.Messages[0].Type)

		assert.Equal(t, http.StatusBadRequest, form("operation", "fileRename", "secureKey", b.key).Status)
		assert.Equal(t, http.StatusBadRequest, form("secureKey", b.key).Status)
		assert.Equal(t, http.StatusBadRequest, ask(formType, "a=%zz").Status)
		assert.Equal(t, http.StatusUnsupportedMediaType, ask("application/json", "{}").Status)
		r = form("operation", "fileGetLimits", "secureKey", "wrong")
		assert.Equal(t, 2, r.StatusCode)
		assert.True(t, r.Ended())
		resp, err := sim.Client().Get(cometdsim.FilesURL(sim))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		sim.Faults().Add(chatsim.Fault{Op: "file", Status: 503})
		assert.Equal(t, 503, upload("fileUpload", "c.txt", "x").Status)
		b.end()
	})
}

// wire-gms B.1: credentials in the header, or with the message.
func TestBayeuxCredentials(t *testing.T) {
	opts := alone(gmssim.New(&gmssim.Options{User: "ada", Password: "pw", APIKey: "k-1"}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		b := newBayeux(t, sim)
		status, _, _, err := b.post("/handshake", "["+b.message("/meta/handshake")+"]")
		require.NoError(t, err)
		assert.Equal(t, http.StatusForbidden, status, "no API key")
		b.http.Transport = header{b.http.Transport, "apikey", "k-1"}
		b.shake("long-polling")
		for _, c := range []struct {
			auth string
			ok   bool
		}{
			{`{}`, false},
			{`{"username":"ada","password":"no"}`, false},
			{`{"encoded":"!"}`, false},
			{`{"encoded":"YWRhOnB3"}`, true},
			{`{"username":"ada","password":"pw"}`, true},
		} {
			got := b.publish("requestChat", "nickname", `"Ada"`, "auth", c.auth)
			assert.Equal(t, c.ok, got[len(got)-1].ok(), c.auth)
		}
		assert.Len(t, sim.Chats(), 2)
		b.http.Transport = header{b.http.Transport, "Authorization", "Basic YWRhOnB3"}
		b.publish("requestChat", "nickname", `"Ada"`)
		assert.Len(t, sim.Chats(), 3)
		b.http.Transport = header{b.http.Transport, "Authorization", "Basic YWRhOm5v"}
		status, _, _, err = b.post("/connect", "["+b.connectMessage()+"]")
		require.NoError(t, err)
		assert.Equal(t, http.StatusUnauthorized, status)
		for _, r := range sim.Requests() {
			assert.NotContains(t, r.Params, "auth")
			assert.NotContains(t, r.Header.Get("Authorization"), "Basic")
		}
	})
}

// header sets a header on each request.
type header struct {
	next        http.RoundTripper
	name, value string
}

func (h header) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if _, inner := h.next.(header); inner {
		h.next = h.next.(header).without(h.name)
	}
	r.Header.Set(h.name, h.value)
	return h.next.RoundTrip(r)
}

// without drops an inner setting of the same name, so that the outer wins.
func (h header) without(name string) http.RoundTripper {
	if h.name == name {
		return h.next
	}
	return h
}
