package webchatservice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// leaks collects everything that is shown while a chat goes on.
type leaks struct {
	mu  sync.Mutex // guards what follows
	all bytes.Buffer
}

func (l *leaks) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *leaks) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// show prints a value in every way, JSON too.
func (l *leaks) show(what string, v any) {
	fmt.Fprintf(l, "%s: %v %+v %#v %s %q\n", what, v, v, v, v, v)
	if err, ok := v.(error); ok {
		fmt.Fprintf(l, "%s\n", err.Error())
		for e := err; e != nil; e = errors.Unwrap(e) {
			fmt.Fprintf(l, "%+v %#v\n", e, e)
		}
	}
	if j, err := json.Marshal(v); err == nil {
		fmt.Fprintf(l, "%s\n", j)
	}
	slog.New(slog.NewJSONHandler(l, nil)).Info(what, "value", v)
}

// TestSecretsAreNowhere plays a chat in which everything goes wrong, and looks for its secrets in all that is
// published, returned, traced and logged, at the lowest level.
func TestSecretsAreNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			apikey = "CANARY-apikey"
			token  = "Bearer CANARY-token"
			header = "CANARY-header"
			card   = "CANARY-card-4711"
		)
		seen := &leaks{}
		sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody, SilenceLimit: -1, Faces: []chatsim.Face{gmssim.New(&gmssim.Options{APIKey: apikey})}})
		defer sim.Close()
		opts := onSim(sim)
		setWire(opts, "apikey", apikey)
		opts.Config.EnableCustomHeader = true
		opts.Headers = map[string]chat.Secret{"X-Extra": chat.NewSecret(header), "Authorization": chat.NewSecret(token)}
		opts.Masks = []*regexp.Regexp{regexp.MustCompile(`CANARY-card-\d+`)}
		opts.Store = webchatservice.NewMemoryStore()

		b := bus.New(&bus.Options{Logger: slog.New(slog.NewTextHandler(seen, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		app, err := b.Register("App")
		require.NoError(t, err)
		app.Ready()
		_, err = app.Subscribe("WebChatService.*", func(_ context.Context, e bus.Event[any]) { seen.show(e.Name(), e.Data) })
		require.NoError(t, err)
		_, err = app.Tap(func(_ context.Context, r bus.Record) {
			if _, typed := r.Data.(webchatservice.Config); r.Kind == "command" && !typed {
				return // what a caller gives, a tap sees as it is given
			}
			if r.Name == "WebChatService.getSessionData" {
				return // the one door
			}
			seen.show(r.Kind+" "+r.Name, r.Data)
			seen.show("outcome of "+r.Name, r.Err)
		})
		require.NoError(t, err)
		svc := webchatservice.New(opts)
		require.NoError(t, b.Start(t.Context(), svc))
		r := &rig{t: t, bus: b, svc: svc, app: app}

		key := "" // of the session
		does := func(command string, options any) {
			out, err := app.Call(t.Context(), "WebChatService."+command, options)
			if d, door := out.(webchatservice.SessionData); door {
				key = d.SecureKey.Reveal()
				fmt.Fprintf(seen, "%v %+v %#v %s\n", d, d, d, d)
				slog.New(slog.NewTextHandler(seen, nil)).Info("data", "session", d)
				seen.show("keys", keysOf(d))
			} else {
				seen.show(command, out)
			}
			seen.show(command+" failed", err)
		}
		does("configure", *opts.Config)
		does("configure", map[string]any{"apikey": apikey, "pollRateMin": 1})
		does("configure", map[string]any{"apikey": []string{apikey}})
		does("configure", *opts.Config)
		does("startChat", map[string]any{"nickname": "Ada", "headers": map[string]any{"x-api-key": header}})
		does("startChat", map[string]any{"nickname": "Ada"})
		does("getSessionData", nil)
		require.NotEmpty(t, key)

		_, err = call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{
			PreProcessor: func(m webchatservice.Message) *webchatservice.Message { panic(m) },
		})
		require.NoError(t, err)
		_, err = call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{
			Input: func() string { panic("no input today") },
		})
		require.NoError(t, err)
		does("sendMessage", map[string]any{"message": "my card is " + card})
		c, ok := sim.Chat(sim.Chats()[0].ID)
		require.True(t, ok)
		ann, err := c.Join("Ann", chatsim.RoleAgent)
		require.NoError(t, err)
		_, err = ann.Say("your card is " + card)
		require.NoError(t, err)
		does("sendFile", map[string]any{"files": map[string]any{"name": "a.txt", "data": "aGk="}})
		does("downloadFile", map[string]any{"fileId": "none"})
		does("getFileLimits", nil)
		does("sendCustomNotice", nil)
		does("updateUserData", map[string]any{"a": "b"})
		time.Sleep(10 * time.Second)
		does("getTranscript", nil)

		echo := []byte(`{"statusCode":2,"secureKey":"` + key + `","errors":[{"code":240,"advice":"` + key + ` is wrong"}],"apikey":"` + apikey + `"}`)
		for _, f := range []chatsim.Fault{
			{Status: 401, Body: echo}, {Status: 403, Body: echo}, {Status: 500, Body: []byte("<html>" + key + "</html>")},
			{Status: 200, Body: []byte(key)}, {Drop: chatsim.DropAfter}, {Cut: 20},
		} {
			f.Times = -1
			fault := sim.Faults().Add(f)
			for _, command := range []string{"sendTyping", "sendCustomNotice", "getFileLimits"} {
				does(command, nil)
			}
			time.Sleep(20 * time.Second)
			fault.Remove()
			time.Sleep(20 * time.Second)
		}
		does("endChat", nil)
		does("restore", map[string]any{"sessionData": map[string]any{"sessionID": "none", "secureKey": key}})
		does("startChat", map[string]any{"nickname": "Ada"})
		time.Sleep(5 * time.Second)
		seen.show("options", *opts)
		seen.show("configuration", *opts.Config)
		seen.show("registry", app.Registry())
		seen.show("debugger", b.Debugger())
		require.NoError(t, b.Close(context.Background()))
		synctest.Wait()

		all := seen.String()
		assert.Contains(t, all, "your card is ***")
		assert.Contains(t, all, "pre-processor panicked")
		assert.Contains(t, all, "typing preview input panicked")
		assert.Contains(t, all, "WebChatService.error")
		for name, secret := range map[string]string{"apikey": apikey, "Authorization": "CANARY-token", "header": header, "masked": card, "secureKey": key} {
			if at := strings.Index(all, secret); at >= 0 {
				around := all[max(0, at-300):min(len(all), at+60)]
				t.Errorf("%s is shown: %s", name, strings.NewReplacer(secret, "(here)", "CANARY-", "").Replace(around))
			}
		}
	})
}
