package chatsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// faulty runs a test with one chat and one fault for the next send.
func faulty(t *testing.T, fault chatsim.Fault, f func(t *testing.T, sim *chatsim.Server, v *visitor)) {
	t.Helper()
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		fault.Op = "send"
		sw := sim.Faults().Add(fault)
		f(t, sim, v)
		assert.Equal(t, 1, sw.Hits())
		// It was for one request: the next is as always.
		r := v.Do("refresh", "transcriptPosition", "0")
		assert.Equal(t, 0, r.StatusCode)
	})
}

func TestFaultDropBefore(t *testing.T) {
	faulty(t, chatsim.Fault{Drop: chatsim.DropBefore}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		_, err := v.Try("send", "message", "a")
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Empty(t, said(v))
	})
}

func TestFaultDropAfter(t *testing.T) {
	faulty(t, chatsim.Fault{Drop: chatsim.DropAfter}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		_, err := v.Try("send", "message", "a")
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, []string{"a"}, said(v))
	})
}

func TestFaultLate(t *testing.T) {
	faulty(t, chatsim.Fault{Late: 10 * time.Second}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		_, err := v.Try("send", "message", "a")
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		time.Sleep(9 * time.Second)
		assert.Empty(t, said(v))
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"a"}, said(v))
	})
}

func TestFaultDelay(t *testing.T) {
	faulty(t, chatsim.Fault{Delay: 30 * time.Second}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		before := time.Now()
		v.Do("send", "message", "a", "transcriptPosition", "0")
		assert.Equal(t, 30*time.Second, time.Since(before))
	})
}

func TestFaultDelayAnswer(t *testing.T) {
	faulty(t, chatsim.Fault{DelayAnswer: 30 * time.Second}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		before := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := v.Try("send", "message", "a")
			done <- err
		}()
		synctest.Wait()
		assert.Equal(t, []string{"a"}, said(v))
		assert.NoError(t, <-done)
		assert.Equal(t, 30*time.Second, time.Since(before))
	})
}

func TestFaultRepeat(t *testing.T) {
	faulty(t, chatsim.Fault{Skip: 1, Repeat: true}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		first := v.Do("send", "message", "a", "transcriptPosition", "2")
		v.Do("refresh", "transcriptPosition", "3") // has no events
		again := v.Do("send", "message", "b", "transcriptPosition", "3")
		assert.Equal(t, first.Body, again.Body)
		assert.Equal(t, []string{"a", "b"}, said(v))
		assert.Equal(t, []int{3}, v.Do("refresh", "transcriptPosition", "3").Indices())
	})
}

// A client that does not wait is not served.
func TestFaultDelayGivenUp(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		sim.Faults().Add(chatsim.Fault{Op: "send", Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", v.Root+"send",
			strings.NewReader(values("secureKey", v.Start.SecureKey, "message", "a").Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", formType)
		_, err = sim.Client().Do(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Len(t, sim.Requests(), 2, "the server has given up too")
		assert.Empty(t, said(v))
	})
}

func TestFaultStatusCode(t *testing.T) {
	faulty(t, chatsim.Fault{Details: gmssim.Fault{StatusCode: 1}}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r := v.Do("send", "message", "a")
		assert.Equal(t, http.StatusOK, r.Status)
		assert.Equal(t, 1, r.StatusCode)
		assert.False(t, r.Ended())
		assert.Empty(t, said(v))
	})
}

func TestFaultErrors(t *testing.T) {
	faulty(t, chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: 240, Advice: "later"}, {Code: 9}}}}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r := v.Do("send", "message", "a")
		assert.Equal(t, http.StatusBadRequest, r.Status)
		assert.Contains(t, r.Body, `"errors":[{"code":240,"advice":"later"},{"code":9}]`)
		assert.Empty(t, said(v))
	})
}

func TestFaultStatus(t *testing.T) {
	fault := chatsim.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: []byte("<html>busy</html>")}
	faulty(t, fault, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r := v.Do("send", "message", "a")
		assert.Equal(t, 503, r.Status)
		assert.Equal(t, "7", r.Header.Get("Retry-After"))
		assert.Contains(t, r.Header.Get("Content-Type"), "text/html")
		assert.Equal(t, "<html>busy</html>", r.Body)
		assert.Empty(t, said(v))
	})
}

// A gateway gives up though the server has done it.
func TestFaultStatusThoughAccepted(t *testing.T) {
	faulty(t, chatsim.Fault{Status: 502, Accept: true}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		assert.Equal(t, 502, v.Do("send", "message", "a").Status)
		assert.Equal(t, []string{"a"}, said(v))
	})
}

func TestFaultEndChat(t *testing.T) {
	faulty(t, chatsim.Fault{EndChat: true}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r := v.Do("send", "message", "a", "transcriptPosition", "2")
		assert.Equal(t, 0, r.StatusCode)
		assert.True(t, r.Ended())
		assert.Equal(t, []string{"Message Ada: a", "ParticipantLeft Ada"}, r.Lines())
	})
}

func TestFaultAlias(t *testing.T) {
	faulty(t, chatsim.Fault{Details: gmssim.Fault{Alias: 777}}, func(t *testing.T, sim *chatsim.Server, v *visitor) {
		assert.Equal(t, "777", v.Do("send", "message", "a").Alias)
		assert.Equal(t, "777", gmssim.Of(sim).Alias())
	})
}

// What a fault does to the events of an answer.
func TestFaultEvents(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault chatsim.Fault
		want  []int
	}{
		{"overlap", chatsim.Fault{Overlap: 2}, []int{2, 3, 4, 5}},
		{"overlap all", chatsim.Fault{Overlap: 9}, []int{1, 2, 3, 4, 5}},
		{"double", chatsim.Fault{Double: true}, []int{4, 4, 5, 5}},
		{"shuffle", chatsim.Fault{Shuffle: true}, []int{5, 4}},
		{"omit", chatsim.Fault{Omit: 1}, []int{5}},
		{"omit all", chatsim.Fault{Omit: 7}, nil},
		{"no index", chatsim.Fault{NoIndex: true}, []int{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
				v := enter(t, sim)
				for _, line := range []string{"a", "b", "c"} {
					v.Do("send", "message", line)
				}
				sim.Faults().Add(c.fault)
				r := v.Do("send", "message", "d", "transcriptPosition", "4")
				assert.Equal(t, c.want, r.Indices())
				assert.Equal(t, 6, r.NextPosition)
				assert.Equal(t, []int{4, 5}, v.Do("refresh", "transcriptPosition", "4").Indices(), "nothing is lost")
			})
		})
	}
}

func TestFaultTruncate(t *testing.T) {
	faulty(t, chatsim.Fault{Truncate: 20}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r, err := v.Try("send", "message", "a")
		assert.ErrorContains(t, err, "unexpected end of JSON")
		assert.Len(t, r.Body, 20)
		assert.Equal(t, []string{"a"}, said(v))
	})
}

func TestFaultCut(t *testing.T) {
	faulty(t, chatsim.Fault{Cut: 20}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		_, err := v.Try("send", "message", "a")
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, []string{"a"}, said(v))
	})
}

func TestFaultPad(t *testing.T) {
	faulty(t, chatsim.Fault{Pad: 1 << 20}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		assert.Greater(t, len(v.Do("send", "message", "a").Body), 1<<20)
	})
}

func TestFaultSlow(t *testing.T) {
	faulty(t, chatsim.Fault{Slow: 20 * time.Second}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		before := time.Now()
		assert.Equal(t, 0, v.Do("send", "message", "a").StatusCode)
		assert.Equal(t, 20*time.Second, time.Since(before))
	})
}

func TestFaultRewrite(t *testing.T) {
	fault := chatsim.Fault{Rewrite: func(b []byte) []byte { return append([]byte("\xff"), b...) }}
	faulty(t, fault, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r, err := v.Try("send", "message", "a")
		assert.Error(t, err)
		assert.True(t, strings.HasPrefix(r.Body, "\xff{"))
	})
}

// Which requests a fault hits.
func TestFaultChoice(t *testing.T) {
	bubble(t, alone(), func(t *testing.T, sim *chatsim.Server) {
		v, other := enter(t, sim), enter(t, sim)
		first := sim.Faults().Add(chatsim.Fault{Op: "send", Chat: v.Start.ChatID, Skip: 1, Times: 2, Details: gmssim.Fault{StatusCode: 1}})
		never := sim.Faults().Add(chatsim.Fault{
			Op:    "send",
			Times: -1,
			Match: func(r chatsim.Request) bool {
				sim.Faults().Add(chatsim.Fault{Op: "none"}).Remove()
				return r.Header.Get("X-Never") != ""
			},
			Details: gmssim.Fault{StatusCode: 2},
		})
		var codes []int
		for range 5 {
			codes = append(codes, v.Do("send", "message", "a").StatusCode)
			assert.Equal(t, 0, other.Do("send", "message", "a").StatusCode)
			assert.Equal(t, 0, v.Do("refresh").StatusCode)
		}
		assert.Equal(t, []int{0, 1, 1, 0, 0}, codes)
		assert.Equal(t, 2, first.Hits())
		assert.Zero(t, never.Hits())

		all := sim.Faults().Add(chatsim.Fault{Times: -1, Status: 500})
		for range 3 {
			assert.Equal(t, 500, v.Do("refresh").Status)
		}
		all.Remove()
		all.Remove()
		assert.Equal(t, 200, v.Do("refresh").Status)
		sim.Faults().Add(chatsim.Fault{Times: -1, Status: 500})
		sim.Faults().Clear()
		assert.Equal(t, 200, v.Do("refresh").Status)
	})
}

// A failover keeps the chats, a crash does not; both break connections.
func TestRestart(t *testing.T) {
	bubble(t, nil, func(t *testing.T, sim *chatsim.Server) {
		v := enter(t, sim)
		time.Sleep(time.Second)
		sim.Faults().Add(chatsim.Fault{Op: "send", Delay: time.Hour})
		failed := make(chan error, 1)
		go func() {
			_, err := v.Try("send", "message", "lost")
			failed <- err
		}()
		synctest.Wait()
		sim.Restart(true)
		assert.ErrorIs(t, <-failed, syscall.ECONNRESET)
		r := v.Do("refresh")
		assert.Equal(t, "205", r.Alias)
		assert.Len(t, r.Messages, 3)
		v.Do("send", "message", "hi")
		time.Sleep(time.Second)
		assert.Contains(t, v.Do("refresh").Lines(), "Message Ann: You said: hi", "agents go on")

		sim.Restart(false)
		assert.True(t, v.Do("refresh").Ended())
		assert.Empty(t, sim.Chats())
		enter(t, sim)
	})
}

// Close ends what is under way.
func TestCloseUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(nil)
		v := enter(t, sim)
		sim.Faults().Add(chatsim.Fault{Op: "send", Delay: time.Hour})
		sim.Faults().Add(chatsim.Fault{Op: "updateData", Late: time.Hour})
		failed := make(chan error, 2)
		go func() {
			_, err := v.Try("send", "message", "a")
			failed <- err
		}()
		_, err := v.Try("updateData", "userData[a]", "b")
		require.Error(t, err)
		go func() {
			_, err := v.Chat().Next(context.Background(), 99)
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, sim.Close())
		require.NoError(t, sim.Close())
		assert.Error(t, <-failed)
		assert.Error(t, <-failed)
		_, err = v.Try("refresh")
		assert.Error(t, err)
		_, err = sim.Desk().Next(context.Background())
		assert.True(t, err == nil || errors.Is(err, chatsim.ErrClosed))
	})
}

// Each code that is known can be the answer, to whatever was asked, and nothing is carried out then.
func TestFaultEveryCode(t *testing.T) {
	for _, code := range []int{
		gmssim.CodeBadRequest, gmssim.CodeNoFirstName, gmssim.CodeNoLastName, gmssim.CodeNoName,
		gmssim.CodeTooManyFiles, gmssim.CodeFileSize, gmssim.CodeFileType, gmssim.CodeTooLong,
		gmssim.CodeCannotStart, gmssim.CodeUnknownService, gmssim.CodeBadEmail,
		gmssim.CodeNoSuchUser, gmssim.CodeLoggedOut, gmssim.CodeBadKey,
	} {
		faulty(t, chatsim.Fault{Details: gmssim.Fault{Errors: []gmssim.Error{{Code: code, Advice: "as you like it"}}}}, func(t *testing.T, sim *chatsim.Server, v *visitor) {
			r := v.Do("send", "message", "a")
			assert.Equal(t, http.StatusBadRequest, r.Status)
			assert.Equal(t, 2, r.StatusCode)
			assert.Equal(t, code, r.Code())
			assert.Equal(t, "as you like it", r.Errors[0].Advice)
			assert.Empty(t, said(v))
		})
	}
	several := []gmssim.Error{{Code: gmssim.CodeNoFirstName}, {Code: gmssim.CodeNoLastName}}
	faulty(t, chatsim.Fault{Status: http.StatusOK, Details: gmssim.Fault{Errors: several}}, func(t *testing.T, _ *chatsim.Server, v *visitor) {
		r := v.Do("send", "message", "a")
		assert.Equal(t, http.StatusOK, r.Status)
		assert.Len(t, r.Errors, 2)
	})
}

// What a gateway in front of the server may say.
func TestFaultGateway(t *testing.T) {
	for name, fault := range map[string]chatsim.Fault{
		"429":                  {Status: 429},
		"429 with Retry-After": {Status: 429, Header: http.Header{"Retry-After": {"3"}}},
		"503":                  {Status: 503},
		"503 with a date":      {Status: 503, Header: http.Header{"Retry-After": {"Fri, 31 Dec 1999 23:59:59 GMT"}}},
		"HTML for JSON":        {Status: 200, Body: []byte("<html>Please log in</html>")},
		"statusCode 2":         {Details: gmssim.Fault{StatusCode: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, fault, func(t *testing.T, _ *chatsim.Server, v *visitor) {
				r := v.Do("send", "message", "a")
				want := fault.Status
				if details, ok := fault.Details.(gmssim.Fault); ok {
					want = http.StatusOK
					assert.Equal(t, details.StatusCode, r.StatusCode)
					assert.False(t, r.Ended())
				} else {
					assert.Equal(t, string(fault.Body), r.Body)
				}
				assert.Equal(t, want, r.Status)
				assert.Equal(t, fault.Header.Get("Retry-After"), r.Header.Get("Retry-After"))
				assert.Empty(t, said(v))
			})
		})
	}
}
