package webchatservice_test

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmscometd"
	"github.com/cxbus/cxbus/plugins/webchatservice/gmsrest"
)

// rejection is one way in which a command rejects. do provokes it, in a bubble.
type rejection struct {
	command string
	err     *bus.Error
	text    string
	do      func(t *testing.T) error
}

func rejections(dir string) []rejection {
	idle := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error {
			r, _ := memoryRig(t)
			return r.by(command, options)
		}
	}
	active := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error {
			r, _ := memoryRig(t)
			r.begin()
			return r.by(command, options)
		}
	}
	bare := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error { return bareRig(t).by(command, options) }
	}
	onBareCometD := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			t.Cleanup(func() { _ = sim.Close() })
			driver, err := gmscometd.New(gmscometd.Config{CometURL: cometdsim.URL(sim)}, &chat.Options{Dial: sim.DialContext})
			require.NoError(t, err)
			r := rigFor(t, &webchatservice.Options{Driver: driver})
			r.begin()
			err = r.by(command, options)
			var said *chat.Error
			require.ErrorAs(t, err, &said)
			assert.Equal(t, chat.CodeUnsupported, said.Code)
			return err
		}
	}
	refused := func(command, options, op string) func(t *testing.T) error {
		return func(t *testing.T) error {
			r, sim := simRig(t, nil)
			sim.Faults().Add(chatsim.Fault{Op: op, Status: 403, Times: -1})
			return r.by(command, options)
		}
	}
	noDrivers := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error { return rigFor(t, &webchatservice.Options{}).by(command, options) }
	}
	noURL := func(command, options string) func(t *testing.T) error {
		return func(t *testing.T) error {
			return rigFor(t, &webchatservice.Options{Drivers: []chat.Factory{gmsrest.Factory()}}).by(command, options)
		}
	}
	const (
		noSession = "There is no active chat session"
		noPolling = "This transport doesn't support polling."
		notComet  = "Polling is not supported when using CometD"
		private   = "Access Denied to private command. Only WebChatService is allowed to invoke this command"
		noFilters = "Missing or invalid filters provided. Please provide a regular expression or an array of regular expressions"
		noInput   = "Invalid value provided for the 'input' property. An HTML element reference to a textarea or text input is required."
	)
	list := []rejection{
		{"configure", webchatservice.ErrInvalidConfig, "Invalid configuration", idle("configure", `{"maxMessageLength": -1}`)},
		{"configure", webchatservice.ErrInvalidTransport, "Invalid transport configuration", idle("configure", `{"transport": {"type": "pureconnect-v3-rest"}}`)},
		{"configure", webchatservice.ErrInvalidTransport, "Invalid transport configuration", func(t *testing.T) error {
			r, _ := simRig(t, nil)
			return r.by("configure", `{"cometD": {"enabled": true, "cometURL": "http://gms.test/cometd"}}`)
		}},

		{"startChat", webchatservice.ErrSessionActive, "There is already an active chat session", active("startChat", `{}`)},
		{"startChat", webchatservice.ErrUserData, "malformed JSON provided in userData property", idle("startChat", `{"userData": "{"}`)},
		{"startChat", webchatservice.ErrUserData, "malformed JSON provided in userData property", idle("startChat", `{"form": {"userData": [1]}}`)},
		{"startChat", webchatservice.ErrOtherTransport, "Transport not supported", idle("startChat", `{"headers": {"x-api-key": "k"}}`)},
		{"startChat", webchatservice.ErrOtherTransport, "Transport not supported", idle("startChat", `{"dataURL": "u", "deploymentKey": "d", "organizationId": "o", "orgGuid": "g"}`)},
		{"startChat", webchatservice.ErrInvalidConfig, "Invalid configuration", noURL("startChat", `{}`)},
		{"startChat", webchatservice.ErrInvalidTransport, "Invalid transport configuration", noDrivers("startChat", `{}`)},
		{"startChat", webchatservice.ErrStartFailed, "chat could not be started", func(t *testing.T) error {
			r, m := memoryRig(t)
			m.Refuse("161", "give a name")
			return r.by("startChat", `{}`)
		}},
		{"startChat", webchatservice.ErrStartUnknown, "start unknown", func(t *testing.T) error {
			r, m := memoryRig(t)
			m.LoseAnswer()
			return r.by("startChat", `{}`)
		}},
		{"startChat", webchatservice.ErrStartEnded, "chat was ended before it had started", func(t *testing.T) error {
			r, m := memoryRig(t)
			m.Delay(time.Second)
			f := r.app.Go(t.Context(), "WebChatService.startChat", nil)
			synctest.Wait()
			require.NoError(t, r.by("endChat", `{}`))
			_, err := f.Result(t.Context())
			return err
		}},

		{"endChat", webchatservice.ErrNoSession, noSession, idle("endChat", `{}`)},
		{"endChat", webchatservice.ErrServerNotTold, "chat ended here, the server was not told", func(t *testing.T) error {
			r, m := memoryRig(t)
			r.begin()
			m.Partition()
			return r.by("endChat", `{}`)
		}},

		{"sendMessage", webchatservice.ErrNoSession, noSession, idle("sendMessage", `{"message": "hi"}`)},
		{"sendMessage", webchatservice.ErrNoText, "No message text provided", active("sendMessage", `{"message": " \n"}`)},
		{"sendFilteredMessage", webchatservice.ErrNoSession, "No active chat session.", idle("sendFilteredMessage", `{"message": "hi", "regex": {"source": "hi"}}`)},
		{"sendFilteredMessage", webchatservice.ErrNoText, "No message text provided", active("sendFilteredMessage", `{"message": "", "regex": {"source": "hi"}}`)},
		{"sendFilteredMessage", webchatservice.ErrFilters, noFilters, active("sendFilteredMessage", `{"message": "hi", "regex": "hi"}`)},
		{"sendFilteredMessage", webchatservice.ErrFilters, noFilters, active("sendFilteredMessage", `{"message": "hi"}`)},
		{"resend", webchatservice.ErrNoSession, noSession, idle("resend", `{"messageID": "1"}`)},
		{"resend", webchatservice.ErrUnknownID, "there is nothing of that id", active("resend", `{"messageID": "1"}`)},
		{"discard", webchatservice.ErrUnknownID, "there is nothing of that id", active("discard", `{"messageID": "1"}`)},

		{"sendCustomNotice", webchatservice.ErrNoSession, noSession, idle("sendCustomNotice", `{}`)},
		{"sendMessage", webchatservice.ErrPostback, "Invalid postback provided.", active("sendMessage", `{"message": "Red", "type": "quickReply", "postback": {}}`)},
		{"sendMessage", webchatservice.ErrPostback, "Invalid postback provided.", active("sendMessage", `{"message": "Red", "postback": {"text": "Red"}}`)},
		{"sendMessage", webchatservice.ErrNoPostback, "This transport doesn't support postback messages.", active("sendMessage", `{"message": "Red", "type": "quickReply", "postback": {"text": "Red"}}`)},
		{"sendCustomNotice", webchatservice.ErrNoNotice, "This transport doesn't support sendCustomNotice command.", bare("sendCustomNotice", `{}`)},
		{"sendCustomNotice", webchatservice.ErrRequest, "request failed", refused("sendCustomNotice", `{}`, "customNotice")},
		{"sendTyping", webchatservice.ErrNoSession, noSession, idle("sendTyping", `{}`)},
		{"sendTyping", webchatservice.ErrNoTyping, "Transport not supported", bare("sendTyping", `{}`)},
		{"sendTyping", webchatservice.ErrRequest, "request failed", refused("sendTyping", `{}`, "startTyping")},
		{"sendTyping", webchatservice.ErrInterrupted, "connection to the chat server is interrupted", func(t *testing.T) error {
			r, m := memoryRig(t)
			r.begin()
			m.Partition()
			t.Cleanup(m.Heal)
			synctest.Wait()
			return r.by("sendTyping", `{}`)
		}},

		{"updateUserData", webchatservice.ErrNoSession, noSession, func(t *testing.T) error {
			r, sim := simRig(t, nil)
			require.NoError(t, r.by("stopPoll", `{}`))
			time.Sleep(5 * time.Second)
			data, err := call(r, webchatservice.GetSessionData, struct{}{})
			require.NoError(t, err)
			other := rigFor(t, onSim(sim))
			_, err = call(other, webchatservice.Restore, webchatservice.RestoreIn{SessionData: keysOf(data)})
			require.NoError(t, err)
			require.NoError(t, end(other))
			return r.by("updateUserData", `{"a": "b"}`) // that it is over is not known here
		}},
		{"updateUserData", webchatservice.ErrNoUserData, "This transport doesn't support updating userData during an active chat session.", bare("updateUserData", `{"a": "b"}`)},
		{"updateUserData", webchatservice.ErrRequest, "request failed", refused("updateUserData", `{"a": "b"}`, "updateData")},
		{"updateInteractionData", webchatservice.ErrNoInteractionData, "This transport doesn't support updating interactionData during an active chat session.", active("updateInteractionData", `{}`)},

		{"addPrefilter", webchatservice.ErrFilters, noFilters, idle("addPrefilter", `{}`)},
		{"addPrefilter", webchatservice.ErrFilters, noFilters, idle("addPrefilter", `{"filters": []}`)},
		{"addPrefilter", webchatservice.ErrFilters, noFilters, idle("addPrefilter", `{"filters": "text"}`)},
		{"addPrefilter", webchatservice.ErrFilters, noFilters, idle("addPrefilter", `{"filters": [{"source": "a"}, {"source": "("}]}`)},
		{"addPrefilter", webchatservice.ErrFilters, noFilters, idle("addPrefilter", `{"filters": {"source": "a", "flags": "q"}}`)},
		{"removePrefilter", webchatservice.ErrUnknownID, "there is nothing of that id", idle("removePrefilter", `{"id": "0"}`)},
		{"registerPreProcessor", webchatservice.ErrNoPreProcessor, "No preprocessor function provided. Type provided was 'undefined'.", func(t *testing.T) error {
			r, _ := memoryRig(t)
			_, err := call(r, webchatservice.RegisterPreProcessor, webchatservice.RegisterPreProcessorIn{})
			return err
		}},
		{"registerPreProcessor", webchatservice.ErrGoOnly, "No preprocessor function provided. Type provided was 'undefined'.", idle("registerPreProcessor", `{}`)},
		{"registerPreProcessor", webchatservice.ErrGoOnly, "No preprocessor function provided. Type provided was 'string'.", idle("registerPreProcessor", `{"preprocessor": "m => m"}`)},
		{"registerPreProcessor", webchatservice.ErrGoOnly, "No preprocessor function provided. Type provided was 'object'.", idle("registerPreProcessor", `{"preprocessor": {}}`)},
		{"removePreProcessor", webchatservice.ErrUnknownID, "there is nothing of that id", idle("removePreProcessor", `{"id": "0"}`)},
		{"registerTypingPreviewInput", webchatservice.ErrNoInput, noInput, func(t *testing.T) error {
			r, _ := memoryRig(t)
			_, err := call(r, webchatservice.RegisterTypingPreviewInput, webchatservice.RegisterTypingPreviewInputIn{})
			return err
		}},
		{"registerTypingPreviewInput", webchatservice.ErrGoOnly, noInput, idle("registerTypingPreviewInput", `{"input": "#chat"}`)},

		{"poll", webchatservice.ErrPrivate, private, idle("poll", `{}`)},
		{"poll", webchatservice.ErrNoSession, noSession, own(false, func(*chatsim.Server) {})},
		{"poll", webchatservice.ErrRequest, "request failed", own(true, func(sim *chatsim.Server) {
			sim.Faults().Add(chatsim.Fault{Op: "refresh", Status: 403, Times: -1})
		})},
		{"poll", webchatservice.ErrNoPolling, noPolling, func(t *testing.T) error {
			r, _ := memoryRig(t)
			r.begin()
			_, err := r.svc.Client().Call(t.Context(), "WebChatService.poll", nil)
			return err
		}},
		{"poll", webchatservice.ErrPollPending, "previous poll has not finished", func(t *testing.T) error {
			r, sim := simRig(t, nil)
			require.NoError(t, r.by("stopPoll", `{}`))
			time.Sleep(5 * time.Second)
			sim.Faults().Add(chatsim.Fault{Op: "refresh", Delay: time.Second})
			f := r.svc.Client().Go(t.Context(), "WebChatService.poll", nil)
			synctest.Wait()
			_, err := r.svc.Client().Call(t.Context(), "WebChatService.poll", nil)
			_, first := f.Result(t.Context())
			require.NoError(t, first)
			return err
		}},
		{"stopPoll", webchatservice.ErrNotPolling, "Not currently polling. Ignoring command.", func(t *testing.T) error {
			r, _ := simRig(t, nil)
			require.NoError(t, r.by("stopPoll", `{}`))
			return r.by("stopPoll", `{}`)
		}},

		{"verifySession", webchatservice.ErrStore, "store of sessions failed", func(t *testing.T) error {
			return rigFor(t, &webchatservice.Options{Store: brokenLoad{}}).by("verifySession", `{}`)
		}},
		{"fetchHistory", webchatservice.ErrNoSession, noSession, idle("fetchHistory", `{}`)},
		{"fetchHistory", webchatservice.ErrNotAsync, "Fetching messages history applies to only Asynchronous chat.", active("fetchHistory", `{}`)},
		{"fetchHistory", webchatservice.ErrNoHistory, "No more messages to fetch", func(t *testing.T) error {
			r, _ := memoryRig(t)
			require.NoError(t, r.by("startChat", `{"async": true}`))
			return r.by("fetchHistory", `{}`)
		}},
		{"fetchHistory", webchatservice.ErrRequest, "request failed", func(t *testing.T) error {
			sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
			t.Cleanup(func() { _ = sim.Close() })
			opts := onCometD(sim, websockets)
			opts.Store = webchatservice.NewMemoryStore()
			r := newRig(t, opts)
			require.NoError(t, r.by("startChat", `{"nickname": "Ada", "async": true}`))
			ann, err := only(t, sim).Join("Ann", chatsim.RoleAgent)
			require.NoError(t, err)
			for range 50 {
				_, err := ann.Say("Hello")
				require.NoError(t, err)
			}
			time.Sleep(5 * time.Second)
			r.stop()
			r = rigFor(t, opts)
			require.NoError(t, r.by("restore", `{}`))
			sim.Network().Partition()
			t.Cleanup(sim.Network().Heal)
			return r.by("fetchHistory", `{}`)
		}},

		{"sendFile", webchatservice.ErrNoSession, noSession, idle("sendFile", `{"files": {"name": "a.txt", "data": "aGk="}}`)},
		{"sendFile", webchatservice.ErrNoUpload, "This transport doesn't support file uploads.", bare("sendFile", `{"files": {"name": "a.txt", "data": "aGk="}}`)},
		{"sendFile", webchatservice.ErrFile, "file cannot be used", active("sendFile", `{"files": {"name": "a.txt"}}`)},
		{"sendFile", webchatservice.ErrRequest, "request failed", refused("sendFile", `{"files": {"name": "a.txt", "data": "aGk="}}`, "file")},
		{"sendFile", webchatservice.ErrFileRefused, "file was refused", func(t *testing.T) error {
			r, _ := simRig(t, &chatsim.Options{Faces: []chatsim.Face{gmssim.New(&gmssim.Options{Files: gmssim.FileLimits{MaxFileSize: 1}})}})
			return r.by("sendFile", `{"files": {"name": "a.txt", "data": "aGk="}}`)
		}},
		{"downloadFile", webchatservice.ErrNoSession, noSession, idle("downloadFile", `{"fileId": "1"}`)},
		{"downloadFile", webchatservice.ErrNoDownload, "This transport doesn't support file download.", bare("downloadFile", `{"fileId": "1"}`)},
		{"downloadFile", webchatservice.ErrNoDownload, "Could not download file. Please ensure WebChat is configured properly.", onBareCometD("downloadFile", `{"fileId": "1"}`)},
		{"downloadFile", webchatservice.ErrRequest, "request failed", active("downloadFile", `{"fileId": "none"}`)},
		{"downloadFile", webchatservice.ErrFile, "file cannot be used", func(t *testing.T) error {
			r, m := memoryRig(t)
			r.begin()
			file := m.AgentFile(id, "Ann", "a.txt", "text/plain", []byte("hi"))
			_, err := call(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: file, Path: filepath.Join(dir, "none", "a.txt")})
			return err
		}},
		{"getFileLimits", webchatservice.ErrNoSession, noSession, idle("getFileLimits", `{}`)},
		{"getFileLimits", webchatservice.ErrNoLimits, "This transport doesn't support getFileLimits command.", bare("getFileLimits", `{}`)},
		{"getFileLimits", webchatservice.ErrRequest, "request failed", refused("getFileLimits", `{}`, "file/limits")},
	}
	for _, command := range []string{"startPoll", "stopPoll", "pausePoll"} {
		list = append(list,
			rejection{command, webchatservice.ErrNoSession, noSession, idle(command, `{}`)},
			rejection{command, webchatservice.ErrNoPolling, noPolling, active(command, `{}`)},
			rejection{command, webchatservice.ErrNoPolling, notComet, onBareCometD(command, `{}`)},
		)
	}
	for _, command := range []string{"sendMessage", "sendFilteredMessage", "resend"} {
		list = append(list, sendRejections(command)...)
	}
	for _, command := range []string{"restore", "asyncRestore"} {
		list = append(list, restoreRejections(command)...)
	}
	return list
}

// own polls as the service itself, with a chat or without.
func own(chatting bool, spoil func(sim *chatsim.Server)) func(t *testing.T) error {
	return func(t *testing.T) error {
		r, sim := simRig(t, nil)
		require.NoError(t, r.by("stopPoll", `{}`))
		time.Sleep(5 * time.Second)
		if !chatting {
			require.NoError(t, r.by("endChat", `{}`))
		}
		spoil(sim)
		_, err := r.svc.Client().Call(t.Context(), "WebChatService.poll", nil)
		return err
	}
}

// brokenLoad is a store that cannot be read.
type brokenLoad struct{ webchatservice.Store }

func (brokenLoad) Load(context.Context, string) ([]byte, error) {
	return nil, errors.New("disk is gone")
}

// sendRejections are those of commands that send a message.
func sendRejections(command string) []rejection {
	// ready prepares what the command sends; the function it returns sends.
	ready := func(t *testing.T, r *rig, fail func()) func(ctx context.Context) error {
		options := map[string]any{"message": "hello"}
		switch command {
		case "sendFilteredMessage":
			options["regex"] = map[string]any{"source": "^hello$"}
		case "resend":
			fail()
			require.Error(t, send(r, "hello"))
			for _, e := range r.take() {
				if d, ok := e.Data.(webchatservice.MessageStateData); ok {
					options = map[string]any{"messageID": d.MessageID}
				}
			}
		}
		return func(ctx context.Context) error {
			_, err := r.app.Go(ctx, "WebChatService."+command, options).Result(t.Context())
			return err
		}
	}
	onMemory := func(opts func(*webchatservice.Options), f func(t *testing.T, r *rig, m *chattest.Memory, again func(context.Context) error) error) func(t *testing.T) error {
		return func(t *testing.T) error {
			m := chattest.NewMemory(nil)
			o := onMemory(m)
			opts(o)
			r := rigFor(t, o)
			r.begin()
			again := ready(t, r, func() { m.Refuse("204", "") })
			return f(t, r, m, again)
		}
	}
	none := func(*webchatservice.Options) {}
	return []rejection{
		{command, webchatservice.ErrTooLong, "Message length exceeds configured threshold of (3) characters", onMemory(none, func(t *testing.T, r *rig, _ *chattest.Memory, again func(context.Context) error) error {
			_, err := call(r, webchatservice.Configure, webchatservice.Config{MaxMessageLength: 3})
			require.NoError(t, err)
			return again(t.Context())
		})},
		{command, webchatservice.ErrOutboxFull, "too many messages wait to be sent", onMemory(func(o *webchatservice.Options) { o.OutboxLimit = 1 }, func(t *testing.T, r *rig, m *chattest.Memory, again func(context.Context) error) error {
			m.Partition()
			t.Cleanup(m.Heal)
			synctest.Wait()
			start(r, t.Context(), webchatservice.SendMessage, webchatservice.SendMessageIn{Message: "first"})
			return again(t.Context())
		})},
		{command, webchatservice.ErrNotSent, "message was not sent", onMemory(none, func(t *testing.T, _ *rig, m *chattest.Memory, again func(context.Context) error) error {
			m.Refuse("204", "")
			return again(t.Context())
		})},
		{command, webchatservice.ErrWithdrawn, "message was withdrawn", onMemory(none, func(t *testing.T, _ *rig, m *chattest.Memory, again func(context.Context) error) error {
			m.Partition()
			t.Cleanup(m.Heal)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return again(ctx)
		})},
		{command, webchatservice.ErrSendUnknown, "send unknown", func(t *testing.T) error {
			m := chattest.NewMemory(nil)
			r := rigFor(t, &webchatservice.Options{Driver: blackHole{m.Driver()}})
			r.begin()
			return ready(t, r, func() {})(t.Context())
		}},
	}
}

// restoreRejections are those of the commands that take up a session.
func restoreRejections(command string) []rejection {
	// left returns the options of a service whose store has a session.
	left := func(t *testing.T) (*webchatservice.Options, *chattest.Memory) {
		m := chattest.NewMemory(nil)
		opts := onMemory(m)
		opts.Store = webchatservice.NewMemoryStore()
		r := newRig(t, opts)
		r.begin()
		r.stop()
		return opts, m
	}
	// on restores it after spoil.
	on := func(spoil func(opts *webchatservice.Options, m *chattest.Memory)) func(t *testing.T) error {
		return func(t *testing.T) error {
			opts, m := left(t)
			spoil(opts, m)
			return rigFor(t, opts).by(command, `{}`)
		}
	}
	return []rejection{
		{command, webchatservice.ErrNothingStored, "No chat session found to restore.", func(t *testing.T) error {
			r, _ := memoryRig(t)
			return r.by(command, `{}`)
		}},
		{command, webchatservice.ErrAlreadyActive, "Chat session is already active, ignoring restore command.", func(t *testing.T) error {
			r, _ := memoryRig(t)
			r.begin()
			return r.by(command, `{}`)
		}},
		{command, webchatservice.ErrRestoring, "Already restoring. Ignoring request.", func(t *testing.T) error {
			opts, m := left(t)
			m.Delay(time.Second)
			r := rigFor(t, opts)
			f := r.app.Go(t.Context(), "WebChatService."+command, nil)
			synctest.Wait()
			err := r.by(command, `{}`)
			_, first := f.Result(t.Context())
			require.NoError(t, first)
			return err
		}},
		{command, webchatservice.ErrStartEnded, "chat was ended before it had started", func(t *testing.T) error {
			opts, m := left(t)
			m.Delay(time.Second)
			r := rigFor(t, opts)
			f := r.app.Go(t.Context(), "WebChatService."+command, nil)
			synctest.Wait()
			require.NoError(t, r.by("endChat", `{}`))
			_, err := f.Result(t.Context())
			return err
		}},
		{command, webchatservice.ErrSessionOver, "customer disconnected, conversation ended", on(func(_ *webchatservice.Options, m *chattest.Memory) { m.EndChat(id) })},
		{command, webchatservice.ErrRestoreFailed, "chat session could not be restored", on(func(_ *webchatservice.Options, m *chattest.Memory) { m.Partition() })},
		{command, webchatservice.ErrSessionMoved, "chat session was taken up by another service", on(func(opts *webchatservice.Options, _ *chattest.Memory) {
			opts.Store = contestedStore{opts.Store.(webchatservice.Claimer)}
		})},
		{command, webchatservice.ErrNoRestore, "Transport not supported", on(func(opts *webchatservice.Options, m *chattest.Memory) {
			opts.Driver = &fakeLines{m.Driver(), nil}
		})},
		{command, webchatservice.ErrStore, "store of sessions failed", on(func(opts *webchatservice.Options, _ *chattest.Memory) { opts.Store = brokenLoad{} })},
		{command, webchatservice.ErrInvalidConfig, "Invalid configuration", on(func(opts *webchatservice.Options, _ *chattest.Memory) {
			opts.Driver, opts.Drivers = nil, []chat.Factory{gmsrest.Factory()}
		})},
		{command, webchatservice.ErrInvalidTransport, "Invalid transport configuration", on(func(opts *webchatservice.Options, _ *chattest.Memory) { opts.Driver = nil })},
	}
}

// TestRejections provokes each rejection of each command, with its text, and checks that Rejections tells of
// exactly these.
func TestRejections(t *testing.T) {
	dir := t.TempDir()
	proven := map[string][]bus.Code{}
	for _, c := range rejections(dir) {
		t.Run(c.command+" "+string(c.err.Code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := c.do(t)
				require.ErrorIs(t, err, c.err)
				var be *bus.Error
				require.ErrorAs(t, err, &be)
				assert.Equal(t, c.text, be.Text)
				assert.NotContains(t, err.Error(), "\n")
			})
		})
		if !slices.Contains(proven[c.command], c.err.Code) {
			proven[c.command] = append(proven[c.command], c.err.Code)
		}
	}
	told := map[string][]bus.Code{}
	for command, errs := range webchatservice.Rejections() {
		for _, e := range errs {
			told[command] = append(told[command], e.Code)
		}
		slices.Sort(told[command])
		slices.Sort(proven[command])
	}
	assert.Equal(t, told, proven, "Rejections tells of what is proven here, and of nothing else")
	for command := range told {
		assert.True(t, slices.ContainsFunc(registered(t).Commands, func(c bus.CommandInfo) bool { return c.Name == "WebChatService."+command }), command)
	}
}

// vendorTexts are all texts of webchatservice, appendix A, with what became of those that no command here rejects
// with.
var vendorTexts = map[string]string{
	"Invalid configuration": "",
	"Invalid configuration. WebChatService supports Async chat only in CometD mode.": "asynchronous chats go over REST, too",
	"Invalid transport configuration":                                                "",
	"There is already an active chat session":                                        "",
	"malformed JSON provided in userData property":                                   "",
	"There is no active chat session":                                                "",
	"There is no active chat session.":                                               "the same in another spelling, of other transports",
	"No active chat session.":                                                        "",
	"No message text provided":                                                       "",
	"Message length exceeds configured threshold of (N) characters":                  "",
	"Missing or invalid filters provided. Please provide a regular expression or an array of regular expressions":         "",
	"Polling is not supported when using CometD":                                                                          "",
	"Not currently polling. Ignoring command.":                                                                            "",
	"previous poll has not finished":                                                                                      "",
	"Access Denied to private command. Only WebChatService is allowed to invoke this command":                             "",
	"Access Denied to private command. Only WebChatService is allowed to invoke this command in Non-Async mode.":          "of older versions; restore is open",
	"Already restoring. Ignoring request.":                                                                                "",
	"Chat session is already active, ignoring restore command.":                                                           "",
	"No chat session found to restore.":                                                                                   "",
	"Fetching messages history applies to only Asynchronous chat.":                                                        "",
	"No more messages to fetch":                                                                                           "",
	"Could not download file. Please ensure WebChat is configured properly.":                                              "",
	"Invalid value provided for the 'input' property. An HTML element reference to a textarea or text input is required.": "",
	"No preprocessor function provided. Type provided was '<type>'.":                                                      "",
	"CometD is not configured or there is a connection issue":                                                             "requests wait for the connection, or fail with what ails it",

	"Transport not supported":                                                                "",
	"This transport doesn't support polling.":                                                "",
	"This transport doesn't support resetPollExceptions command.":                            "every transport here has exceptions to forget",
	"This transport doesn't support any poll Exceptions.":                                    "every transport here has exceptions to forget",
	"This transport doesn't support getFileLimits command.":                                  "",
	"This transport doesn't support sendCustomNotice command.":                               "",
	"This transport doesn't support file download.":                                          "",
	"This transport doesn't support file uploads.":                                           "",
	"This transport doesn't support sending files.":                                          "pureconnect's words for file uploads",
	"This transport doesn't support updating userData during an active chat session.":        "",
	"This transport doesn't support updating interactionData during an active chat session.": "",
	"Sorry, cannot send attachments. HTMl5 FormData is not support on your browser":          "of old browsers",
	"Fetching chat history on scroll is not enabled.":                                        "purecloud-v2-sockets",
	"200 but no response from server":                                                        "purecloud-v2-sockets",
	"no response data in the api post request":                                               "purecloud-v2-sockets",
	"send typing indicator request returned no data":                                         "purecloud-v2-sockets",
	"trying to send typing indicator when session is not active":                             "purecloud-v2-sockets",
	"customer disconnected, conversation ended":                                              "",
	"failed to retrieve conversation state":                                                  "purecloud-v2-sockets",
	"websocket failed to open":                                                               "purecloud-v2-sockets",
	"Cannot restore async chat":                                                              "pureengage-v3-rest",
	"Cannot start async chat:":                                                               "pureengage-v3-rest",
	"No more hosts to try.":                                                                  "pureconnect",
}

// TestVendorTexts: every text of the vendor's is one that a command rejects with, or it is said why not.
func TestVendorTexts(t *testing.T) {
	var ours []string
	for _, c := range rejections("") {
		ours = append(ours, c.text)
	}
	require.Len(t, vendorTexts, 48)
	for text, elsewhere := range vendorTexts {
		pattern := regexp.QuoteMeta(text)
		pattern = strings.NewReplacer(regexp.QuoteMeta("(N)"), `\(\d+\)`, "<type>", `\w+`).Replace(pattern)
		is := regexp.MustCompile("^" + pattern + "$")
		assert.Equal(t, elsewhere == "", slices.ContainsFunc(ours, is.MatchString), text)
	}
}
