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

// Any part of the transcript can be had once more, in order, without moving the reader: what was given
// out does not come out of Receive again, what is new still does, and the end, too.
func refetch(r *run) {
	conn := r.open()
	fetcher, ok := conn.(chat.Refetcher)
	require.Equal(r, r.features.Refetches, ok, "declared and actual ability to fetch again")
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

	if r.features.Indexes {
		one := lines[len(lines)-2].Index
		part, err := fetcher.Refetch(r.ctx(), chat.Position{Index: one}, chat.Position{Index: one + 1})
		require.NoError(r, err)
		assert.Equal(r, []string{"one"}, texts(part))
		none, err := fetcher.Refetch(r.ctx(), chat.Position{Index: one + 100}, chat.Position{Index: one + 200})
		require.NoError(r, err)
		assert.Empty(r, none)
	}
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

// A URL pushed is a line whose text is the URL.
func pushURL(r *run) {
	conn := r.open()
	pusher, ok := conn.(chat.URLPusher)
	require.Equal(r, r.features.Pushes, ok, "declared and actual ability to push a URL")
	if !ok {
		return
	}
	const address = "https://www.example.net/a?b=c&d=%20#e"
	_, err := pusher.PushURL(r.ctx(), address)
	require.NoError(r, err)
	lines := r.lines(conn, saw(chat.KindPushURL, chat.RoleClient))
	assert.Equal(r, address, lines[len(lines)-1].Text)
}

// A new nickname is a line that has it, and that of the lines after it.
func nickname(r *run) {
	conn := r.open()
	renamer, ok := conn.(chat.Renamer)
	require.Equal(r, r.features.Renames, ok, "declared and actual ability to change the nickname")
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

// How far the visitor has read is told in the terms of positions.
func readMark(r *run) {
	conn := r.open()
	marker, ok := conn.(chat.ReadMarker)
	require.Equal(r, r.features.MarksRead, ok, "declared and actual ability to tell what was read")
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
	assert.Equal(r, lines[len(lines)-1].Index, server.Read(id))
	assert.Equal(r, []string{"Hello"}, server.VisitorLines(id))
}

// Credentials are asked for once: for the first request, and when the server refuses those there are, however
// many requests it refuses. Those are made once more, and are done once. Credentials that stay refused are
// an error that may not be repeated; none of them can be seen.
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

// Who does not want to wait inside of Receive is called, once, when it is worth it: for a line, and for the loss of the
// connection. Nothing is missed meanwhile.
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
