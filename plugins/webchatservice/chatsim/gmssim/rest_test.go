package gmssim_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// wire-gms A.1, A.2, A.7.1: both spellings of the path, keys in the shapes
// that servers give, index 1 is the visitor's joining.
func TestStart(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		for _, url := range []string{gmssim.URL(sim), gmssim.URL(sim) + "/"} {
			r, err := post(sim, url, formType, "nickname=Ada&firstName=Ada&lastName=Byron&emailAddress=ada%40example.net&subject=Bill"+
				"&text=&userData%5BTimeZone%5D=60&userData[x]=y&alias=&secureKey=&userId=")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, r.Status)
			assert.Regexp(t, regexp.MustCompile(`^[0-9A-Za-z]{16}$`), r.ChatID)
			assert.Len(t, r.SecureKey, 100)
			assert.Regexp(t, `^[0-9A-F]{16}$`, r.UserID)
			assert.Equal(t, "204", r.Alias)
			assert.Equal(t, 2, r.NextPosition)
			assert.Equal(t, []int{1}, r.Indices())
			assert.Equal(t, []string{"ParticipantJoined Ada"}, r.Lines())
			assert.Equal(t, "Client", r.Messages[0].From.Type)
			assert.Equal(t, float64(1), r.Messages[0].From.ParticipantID)
			assert.Equal(t, time.Now().UnixMilli(), r.Messages[0].UTCTime)
			require.NotNil(t, r.ChatEnded)
			assert.False(t, *r.ChatEnded)
			c, ok := sim.Chat(r.ChatID)
			require.True(t, ok)
			s := c.Snapshot()
			assert.Equal(t, map[string]string{"TimeZone": "60", "x": "y"}, s.UserData)
			assert.Equal(t, chatsim.Visitor{Nickname: "Ada", FirstName: "Ada", LastName: "Byron", Email: "ada@example.net", Subject: "Bill"}, s.Visitor)
		}
		assert.Len(t, sim.Chats(), 2)
	})
}

func TestStartAsMultipart(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		r, err := post(sim, gmssim.URL(sim), "multipart/form-data; boundary=b",
			"--b\r\nContent-Disposition: form-data; name=\"nickname\"\r\n\r\nAda\r\n"+
				"--b\r\nContent-Disposition: form-data; name=\"userData[k]\"\r\n\r\nv\r\n--b--\r\n")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.Status, r.Body)
		assert.Equal(t, map[string]string{"k": "v"}, sim.Chats()[0].UserData)
	})
}

// wire-gms A.6: the codes of start.
func TestStartRefused(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		for body, code := range map[string]int{
			"":                                  gmssim.CodeNoName,
			"nickname=":                         gmssim.CodeNoName,
			"firstName=Ada":                     gmssim.CodeNoLastName,
			"lastName=Byron":                    gmssim.CodeNoFirstName,
			"nickname=A&emailAddress=nowhere":   gmssim.CodeBadEmail,
			"nickname=A&emailAddress=%3Ca@b%3E": gmssim.CodeBadEmail,
			"nickname=%zz":                      gmssim.CodeBadRequest,
		} {
			r, err := post(sim, gmssim.URL(sim), formType, body)
			require.NoError(t, err)
			assert.Equal(t, http.StatusBadRequest, r.Status, body)
			assert.Equal(t, code, r.Code(), body)
			assert.Equal(t, 2, r.StatusCode, body)
		}
		r, err := post(sim, strings.Replace(gmssim.URL(sim), "customer-support", "nothing", 1), formType, "nickname=A")
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, r.Status)
		assert.Equal(t, gmssim.CodeUnknownService, r.Code())
		assert.Empty(t, sim.Chats())
	})
}

// Without a nickname the name is made of the two others.
func TestStartWithoutNickname(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim, "firstName", "Ada", "lastName", "Byron")
		assert.Equal(t, "Ada Byron", v.Start.Messages[0].From.Nickname)
	})
}

// What is no operation is refused before anything is looked at.
func TestRequestRefused(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		for _, c := range []struct {
			method, url, contentType, body string
			status                         int
		}{
			{"GET", gmssim.URL(sim), "", "", 405},
			{"PUT", v.Root + "send", formType, "", 405},
			{"POST", gmssim.URL(sim), "application/json", `{"nickname":"A"}`, 415},
			{"POST", gmssim.URL(sim), "", "nickname=A", 415},
			{"POST", v.Root + "send", "text/plain", "message=A", 415},
			{"POST", v.Root + "notice", formType, "", 404},
			{"POST", v.Root + "send/", formType, "", 404},
			{"POST", v.Root, formType, "", 404},
			{"POST", v.Root + "file/1/rename", formType, "", 404},
			{"POST", "http://sim.test/genesys/2/chat/other/" + v.Start.ChatID + "/send", formType, "", 404},
			{"POST", "http://sim.test/genesys/2/chat/", formType, "", 404},
			{"POST", "http://sim.test/", formType, "", 404},
			{"POST", v.Root + "send", formType, "message=" + strings.Repeat("x", 300<<10), 413},
		} {
			req, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
			require.NoError(t, err)
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			resp, err := sim.Client().Do(req)
			require.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, c.status, resp.StatusCode, "%s %s", c.method, c.url)
		}
		assert.Len(t, v.Chat().Snapshot().Events, 1)
	})
}

// wire-gms A.7.3: what each position asks for, of refresh and of send.
func TestTranscriptPosition(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		for _, line := range []string{"two", "three", "four"} {
			r := v.Do("send", "message", line)
			assert.Empty(t, r.Messages, "send without a position")
		}
		for position, want := range map[string][]int{
			"": {1, 2, 3, 4}, "1": {1, 2, 3, 4}, "3": {3, 4}, "4": {4}, "5": nil, "99": nil, "0": nil, "-1": {4},
		} {
			r := v.Do("refresh", "transcriptPosition", position)
			assert.Equal(t, want, r.Indices(), position)
			assert.Equal(t, 5, r.NextPosition, position)
			assert.Contains(t, r.Body, `"messages":[`, position)
		}
		assert.Equal(t, []int{1, 2, 3, 4}, v.Do("refresh").Indices())
		assert.Equal(t, []int{4, 5}, v.Do("send", "message", "five", "transcriptPosition", "4").Indices())
		assert.Equal(t, []int{6}, v.Do("startTyping", "transcriptPosition", "6").Indices())
		for _, op := range []string{"refresh", "send", "stopTyping"} {
			for _, bad := range []string{"x", "-2", "1.5", "1e3", "99999999999999999999"} {
				r := v.Do(op, "transcriptPosition", bad, "message", "lost")
				assert.Equal(t, http.StatusBadRequest, r.Status, bad)
				assert.Equal(t, gmssim.CodeBadRequest, r.Code(), bad)
			}
		}
		assert.Equal(t, []string{"two", "three", "four", "five"}, v.Chat().Snapshot().Lines(chatsim.Client))
	})
}

// wire-gms A.7.2: what is echoed, and what is too long.
func TestSend(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		r := v.Do("send", "message", "hi", "messageType", "odd", "transcriptPosition", "2",
			"eventAttributes", `{"general-properties":{"related-event-id":"17"}}`)
		require.Len(t, r.Messages, 1)
		assert.Equal(t, "odd", r.Messages[0].MessageType)
		assert.JSONEq(t, `{"general-properties":{"related-event-id":"17"}}`, string(r.Messages[0].Attributes))

		for text, code := range map[string]int{
			"":                         gmssim.CodeBadRequest,
			strings.Repeat("é", 14700): 0,
			strings.Repeat("é", 14701): gmssim.CodeTooLong,
			strings.Repeat("字", 10923): gmssim.CodeTooLong, // 32,769 bytes
			strings.Repeat("字", 10922): 0,
			" ":                        0,
		} {
			r := v.Do("send", "message", text)
			assert.Equal(t, code, r.Code(), "%d bytes", len(text))
		}
		for _, attributes := range []string{"x", "[]", `"a"`, "null", "{", strings.Repeat(" ", 40000) + "{}"} {
			r := v.Do("send", "message", "hi", "eventAttributes", attributes)
			assert.Equal(t, http.StatusBadRequest, r.Status, attributes[:1])
		}
		r = v.Do("refresh", "message", strings.Repeat("x", 14701))
		assert.Equal(t, gmssim.CodeTooLong, r.Code(), "preview")
	})
}

func TestTyping(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		v.Do("startTyping", "message", "He")
		s := v.Chat().Snapshot()
		assert.True(t, s.Typing)
		assert.Equal(t, "He", s.Preview)
		v.Do("refresh", "message", "Hell", "transcriptPosition", "0")
		assert.Equal(t, "Hell", v.Chat().Snapshot().Preview)
		v.Do("stopTyping")
		assert.False(t, v.Chat().Snapshot().Typing)
		v.Do("startTyping")
		v.Do("send", "message", "Hello")
		assert.False(t, v.Chat().Snapshot().Typing, "a line stops typing")
		assert.Equal(t, []string{"ParticipantJoined Ada", "TypingStarted Ada: He", "TypingStopped Ada", "TypingStarted Ada", "Message Ada: Hello"}, v.Do("refresh").Lines())
	})
}

// wire-gms A.7.6 to A.7.10.
func TestOtherOperations(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim, "nickname", "Ada", "userData[a]", "1", "userData[b]", "2")
		v.Do("updateData", "userData[b]", "3", "userData[C d]", "4")
		assert.Equal(t, map[string]string{"a": "1", "b": "3", "C d": "4"}, v.Chat().Snapshot().UserData)
		v.Do("pushUrl", "pushUrl", "https://example.net/?a=b&c=d")
		v.Do("customNotice", "message", "note")
		v.Do("customNotice", "eventAttributes", `{"purpose":"cancel-idle-timer"}`)
		v.Do("updateNickname", "nickname", "Countess")
		r := v.Do("readReceipt", "transcriptPosition", "3")
		assert.Empty(t, r.Messages, "a receipt asks for nothing")
		assert.Equal(t, 3, v.Chat().Snapshot().ReadUpTo)
		r = v.Do("refresh")
		assert.Equal(t, []string{
			"ParticipantJoined Countess", "PushUrl Countess: https://example.net/?a=b&c=d",
			"CustomNotice Countess: note", "CustomNotice Countess", "NicknameUpdated Countess",
		}, r.Lines(), "all own events show the new nickname")

		for op, pair := range map[string][]string{
			"updateData": {"x", "y"}, "pushUrl": {"pushUrl", ""}, "customNotice": {"message", ""},
			"updateNickname": {"nickname", ""}, "readReceipt": {"transcriptPosition", ""},
		} {
			r := v.Do(op, pair...)
			assert.Equal(t, http.StatusBadRequest, r.Status, op)
			assert.Equal(t, gmssim.CodeBadRequest, r.Code(), op)
		}
	})
}

// wire-gms A.7.5, A.5: the end, and what comes after it.
func TestDisconnect(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		r := v.Do("disconnect", "transcriptPosition", "2")
		assert.Equal(t, 0, r.StatusCode)
		assert.True(t, r.Ended())
		assert.Equal(t, []string{"ParticipantLeft Ada"}, r.Lines())
		assert.Equal(t, chatsim.EndedByVisitor, v.Chat().Snapshot().Reason)

		r = v.Do("refresh", "transcriptPosition", "2")
		assert.Equal(t, 0, r.StatusCode, "the last events can still be had")
		assert.True(t, r.Ended())
		assert.Len(t, r.Messages, 1)
		for _, op := range []string{"send", "disconnect", "startTyping", "file/limits"} {
			r = v.Do(op, "message", "late")
			assert.Equal(t, http.StatusOK, r.Status)
			assert.Equal(t, 2, r.StatusCode, op)
			assert.True(t, r.Ended(), op)
		}
	})
}

// wire-gms A.2, A.6: the key is the whole authority, and needs no userId.
func TestKeys(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v, other := enter(t, sim), enter(t, sim)
		r := v.Do("send", "message", "hi", "userId", "stale", "alias", "")
		assert.Equal(t, 0, r.StatusCode)
		for _, key := range []string{"", "wrong", other.Start.SecureKey, strings.ToLower(v.Start.SecureKey)} {
			r := v.Do("send", "message", "forged", "secureKey", key)
			assert.Equal(t, http.StatusBadRequest, r.Status)
			assert.Equal(t, gmssim.CodeBadKey, r.Code())
			assert.False(t, r.Ended())
		}
		assert.Equal(t, []string{"hi"}, v.Chat().Snapshot().Lines(chatsim.Client))
	})
}

func TestUnknownChat(t *testing.T) {
	for name, quirks := range map[string]gmssim.Quirks{"status 2": {}, "404": {UnknownChat404: true}} {
		t.Run(name, func(t *testing.T) {
			opts := alone(gmssim.New(&gmssim.Options{Quirks: quirks}))
			bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
				r, err := post(sim, gmssim.URL(sim)+"/0001aaaaaaaaaaaa/refresh", formType, "secureKey=x")
				require.NoError(t, err)
				if quirks.UnknownChat404 {
					assert.Equal(t, http.StatusNotFound, r.Status)
					return
				}
				assert.Equal(t, http.StatusOK, r.Status)
				assert.Equal(t, 2, r.StatusCode)
				assert.True(t, r.Ended())
			})
		})
	}
}

// wire-gms A.8.1: every operation keeps the visitor in, silence puts him out.
func TestSilence(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		for range 10 {
			time.Sleep(44 * time.Second)
			require.Equal(t, 0, v.Do("refresh", "transcriptPosition", "0").StatusCode)
		}
		time.Sleep(46 * time.Second)
		synctest.Wait()
		assert.Equal(t, chatsim.EndedBySilence, v.Chat().Snapshot().Reason)
		r := v.Do("refresh")
		assert.Equal(t, 2, r.StatusCode)
		assert.Equal(t, gmssim.CodeLoggedOut, r.Code())
		assert.True(t, r.Ended())
	})
}

// wire-gms C.1: a long-lived chat bears silence and outlives its agents.
func TestAsyncChat(t *testing.T) {
	bubble(t, nil, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim, "nickname", "Ada", "userData[GCTI_Chat_AsyncMode]", "true")
		v.Do("send", "message", "bye")
		time.Sleep(24 * time.Hour)
		assert.False(t, v.Do("refresh", "transcriptPosition", "-1").Ended())
		v.Do("send", "message", "again")
		time.Sleep(time.Minute)
		r := v.Do("refresh", "transcriptPosition", "-1")
		assert.Equal(t, []string{"Message Ann: You said: again"}, r.Lines())
		v.Do("disconnect")
		assert.True(t, v.Chat().Snapshot().Ended)
	})
}

// wire-gms C.3: the days a long-lived chat may lie dormant.
func TestAsyncIdle(t *testing.T) {
	opts := alone()
	opts.IdleAlert, opts.AsyncIdleAlert = time.Minute, chatsim.UsualAsyncIdleAlert
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim, "nickname", "Ada", "userData[GCTI_Chat_AsyncMode]", "true")
		time.Sleep(24*time.Hour + time.Second)
		r := v.Do("refresh", "transcriptPosition", "2")
		require.Len(t, r.Messages, 1)
		assert.Equal(t, "3600", r.Messages[0].UserData["next-idle-timer-secs"])
		assert.Equal(t, "3", v.Chat().Snapshot().UserData["GCTI_Chat_AsyncStatus"])
		time.Sleep(time.Hour)
		assert.Equal(t, chatsim.EndedByIdle, v.Chat().Snapshot().Reason)
	})
}

// wire-gms A.4, C.3: alert, close and what cancels them.
func TestIdle(t *testing.T) {
	opts := alone()
	opts.IdleAlert, opts.SilenceLimit = chatsim.UsualIdleAlert, -1
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		alert := func(from string) {
			t.Helper()
			time.Sleep(254 * time.Second)
			assert.Empty(t, v.Do("refresh", "transcriptPosition", from).Messages)
			time.Sleep(2 * time.Second)
			r := v.Do("refresh", "transcriptPosition", from)
			require.Len(t, r.Messages, 1)
			assert.Equal(t, "IdleAlert", r.Messages[0].Type)
			assert.Equal(t, map[string]string{"next-idle-timer-type": "CLOSE", "next-idle-timer-secs": "45"}, r.Messages[0].UserData)
			assert.Equal(t, "External", r.Messages[0].From.Type)
			assert.Equal(t, 44, r.IdleTimerExpire)
		}
		alert("2")
		v.Do("customNotice", "eventAttributes", `{"purpose":"cancel-idle-timer"}`)
		alert("4")
		v.Do("send", "message", "still here")
		alert("6")
		v.Do("refresh") // no activity
		time.Sleep(45 * time.Second)
		r := v.Do("refresh", "transcriptPosition", "7")
		assert.True(t, r.Ended())
		require.NotEmpty(t, r.Messages)
		assert.Equal(t, "IdleClose", r.Messages[0].Type)
		assert.Equal(t, chatsim.EndedByIdle, v.Chat().Snapshot().Reason)
	})
}

// Programs in browsers ask first.
func TestCORS(t *testing.T) {
	opts := alone()
	opts.Origins = []string{"https://shop.example"}
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		ask := func(method, origin string) *http.Response {
			req, err := http.NewRequest(method, gmssim.URL(sim)+"/", strings.NewReader("nickname=Ada"))
			require.NoError(t, err)
			req.Header.Set("Origin", origin)
			req.Header.Set("Content-Type", formType)
			resp, err := sim.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp
		}
		resp := ask("OPTIONS", "https://shop.example")
		assert.Equal(t, http.StatusNoContent, resp.StatusCode)
		assert.Equal(t, "https://shop.example", resp.Header.Get("Access-Control-Allow-Origin"))
		assert.Contains(t, resp.Header.Get("Access-Control-Allow-Methods"), "POST")
		assert.Contains(t, resp.Header.Get("Access-Control-Allow-Headers"), "apikey")
		assert.Empty(t, sim.Requests())
		resp = ask("POST", "https://shop.example")
		assert.Equal(t, "https://shop.example", resp.Header.Get("Access-Control-Allow-Origin"))
		resp = ask("OPTIONS", "https://evil.example")
		assert.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	})
}

func TestGatewayCredentials(t *testing.T) {
	opts := alone(gmssim.New(&gmssim.Options{APIKey: "k-1", User: "ada", Password: "pw"}))
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		for _, c := range []struct {
			header, key, user, password string
			status                      int
		}{
			{"apikey", "k-1", "ada", "pw", 200},
			{"x-api-key", "k-1", "ada", "pw", 200},
			{"apikey", "k-2", "ada", "pw", 403},
			{"apikey", "k-1", "ada", "no", 401},
			{"apikey", "k-1", "", "", 401},
		} {
			req, err := http.NewRequest("POST", gmssim.URL(sim), strings.NewReader("nickname=Ada"))
			require.NoError(t, err)
			req.Header.Set("Content-Type", formType)
			req.Header.Set(c.header, c.key)
			req.SetBasicAuth(c.user, c.password)
			resp, err := sim.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, c.status, resp.StatusCode)
		}
	})
}

// The log says what was asked, and gives away nothing.
func TestRequestLog(t *testing.T) {
	opts := alone()
	opts.Keep = 3
	bubble(t, opts, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		req, err := http.NewRequest("POST", v.Root+"updateData", strings.NewReader(values("secureKey", v.Start.SecureKey, "userData[k]", "v").Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", formType)
		req.Header.Set("apikey", "CANARY-1")
		req.Header.Set("Authorization", "CANARY-2")
		resp, err := sim.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		log := sim.Requests()
		require.Len(t, log, 2)
		assert.Equal(t, "start", log[0].Op)
		last := log[1]
		assert.Equal(t, "updateData", last.Op)
		assert.Equal(t, v.Start.ChatID, last.Chat)
		assert.Equal(t, map[string]string{"secureKey": "[redacted]"}, last.Params)
		assert.Equal(t, map[string]string{"k": "v"}, last.UserData)
		assert.Equal(t, http.StatusOK, last.Status)
		assert.NotContains(t, last.Header.Get("Apikey")+last.Header.Get("Authorization"), "CANARY-")
		for range 10 {
			v.Do("refresh")
		}
		assert.Len(t, sim.Requests(), 3)
	})
}
