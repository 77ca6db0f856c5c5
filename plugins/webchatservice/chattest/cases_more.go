package chattest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func refetch(r *run) {
	conn := r.open()
	fetcher, ok := able[chat.Refetcher](r, conn, func(c chat.Capabilities) bool { return c.Refetch })
	if !ok {
		return
	}
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.send(conn, "one")
	r.server.AgentSay(id, "Ann", "two")
	lines := r.lines(conn, said("two"))
	position := conn.Position()

	all, err := fetcher.Refetch(r.ctx(), chat.Position{}, chat.Position{})
	require.NoError(r, err)
	assert.Equal(r, []string{"one", "two"}, texts(all))
	assert.Len(r, all, len(lines))
	assert.Equal(r, position, conn.Position())

	before, one := lines[len(lines)-3], lines[len(lines)-2]
	part, err := fetcher.Refetch(r.ctx(), before.Position, one.Position)
	require.NoError(r, err)
	require.Len(r, part, 1)
	assert.Equal(r, []string{"one"}, texts(part))
	assert.Equal(r, one.Position, part[0].Position)
	require.NotNil(r, part[0].Behind)
	assert.Equal(r, before.Position, *part[0].Behind)
	none, err := fetcher.Refetch(r.ctx(), one.Position, one.Position)
	require.NoError(r, err)
	assert.Empty(r, none)
	r.server.AgentSay(id, "Ann", "three")
	again, err := fetcher.Refetch(r.ctx(), chat.Position{}, position)
	require.NoError(r, err)
	assert.Equal(r, []string{"one", "two"}, texts(again))
	r.send(conn, "four")
	assert.Equal(r, []string{"three", "four"}, texts(r.lines(conn, said("four"))))

	r.server.Partition()
	synctest.Wait()
	_, err = fetcher.Refetch(r.ctx(), chat.Position{}, chat.Position{})
	r.outcome(err, chat.NotSent)
	r.server.Heal()
	r.server.AgentSay(id, "Ann", "five")
	r.server.EndChat(id)
	_, _ = fetcher.Refetch(r.ctx(), chat.Position{}, chat.Position{}) // may bring the end, or be told of it
	events := r.toEnd(conn)
	require.NotEmpty(r, events)
	var rest []chat.Message
	for _, ev := range events {
		rest = append(rest, ev.Messages...)
	}
	assert.Equal(r, []string{"five"}, texts(rest))
	_, err = fetcher.Refetch(r.ctx(), chat.Position{}, chat.Position{})
	r.outcome(err, chat.Gone)
}

func pushURL(r *run) {
	conn := r.open()
	pusher, ok := able[chat.URLPusher](r, conn, func(c chat.Capabilities) bool { return c.URLs })
	if !ok {
		return
	}
	const address = "https://www.example.net/a?b=c&d=%20#e"
	_, err := pusher.PushURL(r.ctx(), address)
	require.NoError(r, err)
	lines := r.lines(conn, saw(chat.KindPushURL, chat.RoleClient))
	assert.Equal(r, address, lines[len(lines)-1].Text)
}

func nickname(r *run) {
	conn := r.open()
	renamer, ok := able[chat.Renamer](r, conn, func(c chat.Capabilities) bool { return c.Nicknames })
	if !ok {
		return
	}
	_, err := renamer.UpdateNickname(r.ctx(), "Ada & Co")
	require.NoError(r, err)
	r.send(conn, "it is me")
	lines := r.lines(conn, said("it is me"))
	assert.True(r, saw(chat.KindNicknameUpdated, chat.RoleClient)(lines))
	assert.Equal(r, "Ada & Co", lines[len(lines)-1].From.Name)
}

func readMark(r *run) {
	conn := r.open()
	marker, ok := able[chat.ReadMarker](r, conn, func(c chat.Capabilities) bool { return c.ReadMarks })
	if !ok {
		return
	}
	server, ok := r.server.(ReadServer)
	require.True(r, ok, "the harness has no ReadServer")
	id := conn.Session().ID
	_, err := marker.MarkRead(r.ctx(), chat.Position{})
	require.NoError(r, err)
	assert.Zero(r, server.Read(id))
	r.send(conn, "Hello")
	lines := r.lines(conn, said("Hello"))
	_, err = marker.MarkRead(r.ctx(), conn.Position())
	require.NoError(r, err)
	want := lines[len(lines)-1].Index
	if want == 0 { // the wire does not number lines; the server counts them
		want = int64(len(lines))
	}
	assert.Equal(r, want, server.Read(id))
	assert.Equal(r, []string{"Hello"}, server.VisitorLines(id))
}

func authorization(r *run) {
	if !r.features.Authorizes {
		return
	}
	server, ok := r.server.(AuthServer)
	require.True(r, ok, "the harness has no AuthServer")
	var refusals []string
	token := func(n int) string { return fmt.Sprintf("Bearer CANARY-token-%d", n) }
	a := chat.NewAuthorization(func(_ context.Context, refused chat.Secret) (chat.Secret, error) {
		time.Sleep(100 * time.Millisecond)
		refusals = append(refusals, refused.Reveal())
		return chat.NewSecret(token(len(refusals))), nil
	})
	server.Demand(token(1))
	driver := server.AuthorizedDriver(a)
	var conns []chat.Conn
	for range 3 {
		conn, err := driver.Open(r.ctx(), visitor())
		require.NoError(r, err)
		r.closeLater(conn)
		conns = append(conns, conn)
	}
	assert.Equal(r, []string{""}, refusals)

	server.Demand(token(2))
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	for i, conn := range conns {
		wg.Go(func() { _, errs[i] = conn.Send(r.ctx(), chat.Action{Text: "Hello"}) })
	}
	wg.Wait()
	for i, conn := range conns {
		require.NoError(r, errs[i])
		assert.Equal(r, []string{"Hello"}, server.VisitorLines(conn.Session().ID))
		assert.Equal(r, []string{"Hello"}, texts(r.lines(conn, said("Hello"))))
	}
	assert.Equal(r, []string{"", token(1)}, refusals)

	server.Demand("nothing will do")
	_, err := conns[0].Send(r.ctx(), chat.Action{Text: "refused"})
	e := r.outcome(err, chat.Rejected)
	assert.Equal(r, chat.CodeUnauthorized, e.Code)
	assert.False(r, e.Retryable())
	synctest.Wait() // as in secretsNeverPrinted
	assert.NotContains(r, printed(err)+printed(driver)+printed(conns[0])+printed(a), "CANARY-")
	assert.Len(r, refusals, 3)
	assert.Equal(r, []string{"Hello"}, server.VisitorLines(conns[0].Session().ID))
	server.Demand("")
	r.send(conns[0], "at last")
}

func await(r *run) {
	conn := r.open()
	waker, ok := conn.(chat.Waker)
	require.Equal(r, r.features.Wakes, ok, "declared and actual ability to wake")
	if !ok {
		return
	}
	id := conn.Session().ID
	assert.False(r, waker.Await(func() { r.Error("called, though Await said that it would not be") }), "before the first event")
	r.server.AgentJoin(id, "Ann")
	r.lines(conn, saw(chat.KindParticipantJoined, chat.RoleAgent))

	// until calls Receive when it is called for, and no more, until it has what is wanted.
	until := func(done func(chat.Event, error) bool) {
		for {
			called := make(chan struct{}, 2)
			if waker.Await(func() { called <- struct{}{} }) {
				select {
				case <-called:
				case <-r.ctx().Done():
					require.Fail(r, "nobody called")
				}
			}
			ev, err := conn.Receive(r.ctx())
			assert.Empty(r, called, "called twice")
			if done(ev, err) {
				return
			}
		}
	}
	r.server.AgentSay(id, "Ann", "one")
	until(func(ev chat.Event, err error) bool { require.NoError(r, err); return said("one")(ev.Messages) })
	go func() {
		time.Sleep(10 * time.Second)
		r.server.AgentSay(id, "Ann", "two")
	}()
	until(func(ev chat.Event, err error) bool { require.NoError(r, err); return said("two")(ev.Messages) })
	r.server.Partition()
	until(func(_ chat.Event, err error) bool { return err != nil })
	r.server.Heal()
	r.server.EndChat(id)
	until(func(_ chat.Event, err error) bool { return err == io.EOF }) //nolint:errorlint // as it is
	assert.False(r, waker.Await(func() { r.Error("called after the end") }))
}
