package gmssim_test

import (
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/internal/gmsclient"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

type (
	reply   = gmsclient.Reply
	visitor = gmsclient.Visitor
)

const formType = gmsclient.FormType

func post(sim *chatsim.Server, url, contentType, body string) (reply, error) {
	return gmsclient.Post(sim, url, contentType, body)
}

func values(pairs ...string) url.Values { return gmsclient.Values(pairs...) }

// enter starts a chat.
func enter(t testing.TB, sim *chatsim.Server, pairs ...string) *visitor {
	t.Helper()
	return gmsclient.Enter(t, sim, pairs...)
}

// bubble runs f in a synctest bubble with a server of its own: what sleeps in f sleeps in fake time.
func bubble(t *testing.T, opts *chatsim.Options, f func(t *testing.T, sim *chatsim.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(opts)
		defer func() { assert.NoError(t, sim.Close()) }()
		f(t, sim)
	})
}

// alone is a server that no script plays on.
func alone(faces ...chatsim.Face) *chatsim.Options {
	return &chatsim.Options{Script: chatsim.Nobody, Faces: faces}
}
