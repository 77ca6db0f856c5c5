package webchatservice_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// What can be done in a chat may change while it goes on: an event tells it, once, and the commands obey.
func TestCapabilitiesChange(t *testing.T) {
	onWires(t, func(t *testing.T, m *chattest.Memory, opts *webchatservice.Options) {
		r := newRig(t, opts)
		defer r.stop()
		r.begin()
		file := webchatservice.SendFileIn{Files: webchatservice.FileIn{Name: "a.txt", Data: []byte("x")}}
		for _, allowed := range []bool{false, true} {
			m.AllowFiles(id, allowed)
			assert.Equal(t, webchatservice.Capabilities{AsyncClose: "hideChat", FileUpload: allowed},
				payload[webchatservice.Capabilities](t, r.take(), "capabilitiesChanged"))
			m.AllowFiles(id, allowed)
			m.AgentSay(id, "Bob", "hello")
			assert.NotContains(t, shortNames(r), "capabilitiesChanged", "nothing has changed")
			_, err := call(r, webchatservice.SendFile, file)
			if allowed {
				require.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, webchatservice.ErrNoUpload)
			}
			r.take()
		}
		m.SetCapabilities(id, func(c *chat.Capabilities) { *c = chat.Capabilities{} })
		r.take()
		for name, c := range map[string]struct{ err, want error }{
			"sendTyping":       {by(r, webchatservice.SendTyping, webchatservice.SendTypingIn{}), webchatservice.ErrNoTyping},
			"updateUserData":   {by(r, webchatservice.UpdateUserData, map[string]any{"a": "b"}), webchatservice.ErrNoUserData},
			"sendCustomNotice": {by(r, webchatservice.SendCustomNotice, webchatservice.SendCustomNoticeIn{Message: "m"}), webchatservice.ErrNoNotice},
			"getFileLimits":    {by(r, webchatservice.GetFileLimits, struct{}{}), webchatservice.ErrNoLimits},
			"downloadFile":     {by(r, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: "file-1"}), webchatservice.ErrNoDownload},
			"startPoll":        {by(r, webchatservice.StartPoll, struct{}{}), webchatservice.ErrNoPolling},
		} {
			assert.ErrorIs(t, c.err, c.want, name)
		}
		require.NoError(t, send(r, "lines can be sent all the same"))
	})
}

// by calls a command for its error.
func by[In, Out any](r *rig, c bus.CommandOf[In, Out], in In) error {
	r.t.Helper()
	_, err := call(r, c, in)
	return err
}

// shortNames returns the names of all events so far, and forgets them.
func shortNames(r *rig) (names []string) {
	for _, e := range r.take() {
		names = append(names, shortName(e.Name()))
	}
	return names
}
