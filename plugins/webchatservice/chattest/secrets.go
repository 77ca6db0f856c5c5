package chattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func secretsNeverPrinted(r *run) {
	driver := r.server.Driver()
	conn, err := driver.Open(r.ctx(), visitor())
	require.NoError(r, err)
	r.closeLater(conn)
	id, key := conn.Session().ID, conn.Session().SecureKey.Reveal()
	require.NotEmpty(r, key)
	refresh := conn.Session().Refresh.Reveal()
	check := func(what string, v any) {
		r.Helper()
		all := printed(v)
		assert.NotContains(r, all, key, "the key shows in %s", what)
		if refresh != "" {
			assert.NotContains(r, all, refresh, "the key to renew it shows in %s", what)
		}
	}
	check("driver", driver)
	synctest.Wait() // what the connection does on its own is at rest: printing takes no locks
	check("connection", conn)
	check("session", conn.Session())

	r.server.AgentJoin(id, "Ann")
	receipt := r.send(conn, "Hello")
	check("receipt", receipt)
	assert.NotContains(r, string(receipt.Answer), key)

	var errs []error
	keep := func(_ chat.Receipt, err error) {
		require.Error(r, err)
		errs = append(errs, err)
	}
	r.server.Refuse("204", "too long")
	keep(conn.Send(r.ctx(), chat.Action{Text: "x"}))
	r.server.LoseAnswer()
	keep(conn.Send(r.ctx(), chat.Action{Text: "y"}))
	r.server.Partition()
	keep(conn.Send(r.ctx(), chat.Action{Text: "z"}))
	synctest.Wait() // what the connection does on its own has failed by now
	r.server.Heal()
	r.server.EndChat(id)
	for {
		ev, err := conn.Receive(r.ctx())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(r, err)
		check("event", ev)
		assert.NotContains(r, string(ev.Raw), key)
		for _, m := range ev.Messages {
			assert.NotContains(r, string(m.Raw), key)
		}
	}
	keep(conn.Send(r.ctx(), chat.Action{Text: "late"}))
	for _, err := range errs {
		check("error", err)
		var e *chat.Error
		require.ErrorAs(r, err, &e)
		assert.NotContains(r, string(e.Answer), key)
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			check("cause", cause)
		}
	}
}

// printed is v in every form that a careless program might print.
func printed(v any) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %+v %#v %s %q %x %X %d\n", v, v, v, v, v, v, v, v)
	if data, err := json.Marshal(v); err == nil {
		b.Write(data)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("value", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("value", "v", v)
	return b.String()
}
