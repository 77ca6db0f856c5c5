package chattest

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// messages returns the lines that are messages.
func messages(lines []chat.Message) (found []chat.Message) {
	for _, l := range lines {
		if l.Kind == chat.KindMessage {
			found = append(found, l)
		}
	}
	return found
}

func linesHavePlaces(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	for _, text := range []string{"one", "two", "three", "four"} {
		r.server.AgentSay(id, "Ann", text)
	}
	lines := r.lines(conn, said("four"))
	places := make(map[chat.Position]bool)
	for _, l := range lines {
		if l.Position == (chat.Position{}) {
			assert.False(r, r.features.Indexes, "a line that is numbered has no place")
			continue
		}
		assert.False(r, places[l.Position], "two lines at %v", l.Position)
		places[l.Position] = true
		assert.Nil(r, l.Behind, "no line came late")
	}
	said := messages(lines)
	assert.Equal(r, said[3].Position, conn.Position())
	driver, ok := r.resumer()
	if !ok {
		return
	}
	rest := r.resume(driver, chat.ResumeRequest{Session: conn.Session(), From: said[1].Position})
	assert.Equal(r, said[1].Position, rest.Position(), "before the first event")
	ev, err := rest.Receive(r.ctx())
	require.NoError(r, err)
	assert.True(r, ev.Earlier)
	assert.Equal(r, []string{"three", "four"}, texts(ev.Messages))
	assert.Nil(r, ev.Messages[0].Missing, "what lies before was not asked for")
}

func knownLines(r *run) {
	conn := r.open()
	id := conn.Session().ID
	driver, ok := r.resumer()
	if !ok {
		return
	}
	r.server.AgentJoin(id, "Ann")
	r.send(conn, "one")
	for _, l := range r.lines(conn, said("one")) {
		assert.False(r, l.Known, "of a new chat nothing is known")
	}
	session, read := conn.Session(), conn.Position()
	require.NoError(r, conn.Close())
	r.server.AgentSay(id, "Ann", "two")
	known := func(read chat.Position) (found []string) {
		again := r.resume(driver, chat.ResumeRequest{Session: session, Known: read})
		lines := r.lines(again, said("two"))
		for _, l := range lines {
			if l.Known {
				found = append(found, string(l.Kind)+" "+l.Text)
			}
		}
		r.server.AgentSay(id, "Ann", "and more")
		for _, l := range r.lines(again, said("and more")) {
			assert.False(r, l.Known, "it has just come")
		}
		require.NoError(r, again.Close())
		r.server.AgentSay(id, "Ann", "two")
		return found
	}
	lines := known(read)
	require.NotEmpty(r, lines)
	assert.Equal(r, "Message one", lines[len(lines)-1])
	assert.Empty(r, known(chat.Position{}))
	for _, nonsense := range []chat.Position{
		{Index: math.MaxInt64}, {Index: math.MinInt64}, {Index: -1}, {ID: "no such line"}, {Index: math.MaxInt64, ID: "7"},
	} {
		assert.Empty(r, known(nonsense), "%v", nonsense)
	}
}

func history(r *run) {
	conn := r.open()
	_, ok := able[chat.Historian](r, conn, func(c chat.Capabilities) bool { return c.History })
	if !ok {
		return
	}
	driver, ok := r.resumer()
	require.True(r, ok, "a wire that has history can resume")
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	for _, text := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		r.server.AgentSay(id, "Ann", text)
	}
	all := r.lines(conn, said("seven"))
	read := messages(all)[5].Position // six
	session := conn.Session()
	require.NoError(r, conn.Close())

	tail := r.resume(driver, chat.ResumeRequest{Session: session, Known: read, Tail: 2})
	ev, err := tail.Receive(r.ctx())
	require.NoError(r, err)
	assert.True(r, ev.Earlier)
	require.NotEmpty(r, ev.Messages)
	assert.Nil(r, ev.Messages[0].Missing)
	assert.Equal(r, "seven", ev.Messages[len(ev.Messages)-1].Text)
	assert.Less(r, len(ev.Messages), len(all))
	assert.False(r, ev.Messages[len(ev.Messages)-1].Known)
	position := tail.Position()

	whole := ev.Messages
	historian, ok := tail.(chat.Historian)
	require.True(r, ok)
	pages, before := 0, chat.Position{}
	for beginning := false; !beginning; pages++ {
		require.Less(r, pages, 20, "no beginning")
		page, err := historian.History(r.ctx(), before, 3)
		require.NoError(r, err)
		assert.LessOrEqual(r, len(page.Messages), 3)
		for _, l := range page.Messages {
			assert.Nil(r, l.Behind)
		}
		whole = append(append([]chat.Message(nil), page.Messages...), whole...)
		before, beginning = page.Oldest, page.Beginning
	}
	assert.Greater(r, pages, 1)
	assert.Equal(r, texts(all), texts(whole))
	assert.Equal(r, position, tail.Position())
	page, err := historian.History(r.ctx(), before, 3)
	require.NoError(r, err)
	assert.Empty(r, page.Messages)
	assert.True(r, page.Beginning)
	r.server.AgentSay(id, "Ann", "eight")
	assert.Equal(r, []string{"eight"}, texts(r.lines(tail, said("eight"))))

	unread := r.resume(driver, chat.ResumeRequest{Session: session, Known: messages(all)[0].Position, Tail: 1})
	assert.Equal(r, []string{"two", "three", "four", "five", "six", "seven", "eight"}, texts(r.lines(unread, said("eight"))),
		"what was not read comes, also where that is more than was asked for")
}

func missingLines(r *run) {
	if !r.features.Holes {
		return
	}
	server, ok := r.server.(HoleServer)
	require.True(r, ok, "the harness has no HoleServer")
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.lines(conn, saw(chat.KindParticipantJoined, chat.RoleAgent))
	before := conn.Position()
	server.Withhold(id, 2)
	for _, text := range []string{"one", "two", "three"} {
		r.server.AgentSay(id, "Ann", text)
	}
	lines := messages(r.lines(conn, said("three")))
	require.Equal(r, []string{"three"}, texts(lines))
	three := lines[0]
	require.NotNil(r, three.Missing, "nobody says that lines are missing")
	if three.Index != 0 {
		assert.Equal(r, chat.Gap{First: three.Index - 2, Last: three.Index - 1}, *three.Missing)
	} else {
		assert.Zero(r, *three.Missing)
	}
	fetcher, ok := able[chat.Refetcher](r, conn, func(c chat.Capabilities) bool { return c.Refetch })
	require.True(r, ok, "a wire whose lines may be missing can ask for them")
	found, err := fetcher.Refetch(r.ctx(), before, three.Position)
	require.NoError(r, err)
	require.Equal(r, []string{"one", "two", "three"}, texts(found))
	for i, l := range found {
		require.NotNil(r, l.Behind)
		assert.Equal(r, before, *l.Behind, "line %d", i)
		assert.Nil(r, l.Missing)
		before = l.Position
	}
	assert.Equal(r, three.Position, before)

	server.Forget(id, 1)
	r.server.AgentSay(id, "Ann", "lost")
	r.server.AgentSay(id, "Ann", "five")
	lines = messages(r.lines(conn, said("five")))
	require.Equal(r, []string{"five"}, texts(lines))
	require.NotNil(r, lines[0].Missing)
	found, err = fetcher.Refetch(r.ctx(), before, lines[0].Position)
	require.NoError(r, err)
	require.Equal(r, []string{"five"}, texts(found))
	assert.Equal(r, lines[0].Missing, found[0].Missing, "asking does not bring it")
	r.server.AgentSay(id, "Ann", "six")
	lines = messages(r.lines(conn, said("six")))
	assert.Equal(r, []string{"six"}, texts(lines), "each line once")
	assert.Nil(r, lines[0].Missing, "it was told before")
}

func linesInDisorder(r *run) {
	window := r.features.Disorder
	if window == 0 {
		return
	}
	server, ok := r.server.(DisorderServer)
	require.True(r, ok, "the harness has no DisorderServer")
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.lines(conn, saw(chat.KindParticipantJoined, chat.RoleAgent))
	server.Hold(id, 1, window/2)
	begin := time.Now()
	for _, text := range []string{"one", "two", "three"} {
		r.server.AgentSay(id, "Ann", text)
	}
	lines := messages(r.lines(conn, said("three")))
	assert.Equal(r, []string{"one", "two", "three"}, texts(lines))
	assert.Equal(r, window/2, time.Since(begin), "there is no reason to wait longer")
	for _, l := range lines {
		assert.Nil(r, l.Behind)
		assert.Nil(r, l.Missing)
	}
	server.Hold(id, 1, 3*window)
	begin = time.Now()
	for _, text := range []string{"late", "five", "six"} {
		r.server.AgentSay(id, "Ann", text)
	}
	lines = append(lines, messages(r.lines(conn, said("six")))...)
	assert.Equal(r, []string{"one", "two", "three", "five", "six"}, texts(lines))
	assert.Equal(r, window, time.Since(begin))
	position := conn.Position()
	late := messages(r.lines(conn, said("late")))
	require.Len(r, late, 1)
	require.NotNil(r, late[0].Behind)
	assert.Equal(r, lines[2].Position, *late[0].Behind)
	assert.Equal(r, position, conn.Position(), "the reader stood behind it already")
	r.server.AgentSay(id, "Ann", "seven")
	assert.Equal(r, []string{"seven"}, texts(r.lines(conn, said("seven"))))
}

func capabilities(r *run) {
	conn := r.open()
	caps := conn.Capabilities()
	assert.True(r, r.features.Capabilities.Equal(caps), "declared %+v, actual %+v", r.features.Capabilities, caps)
	for _, a := range []struct {
		name string
		can  bool
		try  func() (implemented bool, err error)
	}{
		{"Filer", caps.Files, func() (bool, error) {
			return try(conn, func(f chat.Filer) error { _, _, err := f.FileLimits(r.ctx()); return err })
		}},
		{"Historian", caps.History, func() (bool, error) {
			return try(conn, func(f chat.Historian) error { _, err := f.History(r.ctx(), chat.Position{}, 1); return err })
		}},
		{"Refetcher", caps.Refetch, func() (bool, error) {
			return try(conn, func(f chat.Refetcher) error {
				_, err := f.Refetch(r.ctx(), chat.Position{}, chat.Position{})
				return err
			})
		}},
		{"Poller", caps.Polling, func() (bool, error) {
			return try(conn, func(f chat.Poller) error { _, err := f.Poll(r.ctx()); return err })
		}},
		{"Typer", caps.Typing, func() (bool, error) {
			return try(conn, func(f chat.Typer) error { _, err := f.Typing(r.ctx(), false, ""); return err })
		}},
		{"DataUpdater", caps.UserData, func() (bool, error) {
			return try(conn, func(f chat.DataUpdater) error {
				_, err := f.UpdateUserData(r.ctx(), map[string]any{"a": "b"})
				return err
			})
		}},
		{"Notifier", caps.Notices, func() (bool, error) {
			return try(conn, func(f chat.Notifier) error { _, err := f.CustomNotice(r.ctx(), "a", nil); return err })
		}},
		{"URLPusher", caps.URLs, func() (bool, error) {
			return try(conn, func(f chat.URLPusher) error { _, err := f.PushURL(r.ctx(), "https://www.example.net"); return err })
		}},
		{"Renamer", caps.Nicknames, func() (bool, error) {
			return try(conn, func(f chat.Renamer) error { _, err := f.UpdateNickname(r.ctx(), "Ada"); return err })
		}},
		{"ReadMarker", caps.ReadMarks, func() (bool, error) {
			return try(conn, func(f chat.ReadMarker) error { _, err := f.MarkRead(r.ctx(), conn.Position()); return err })
		}},
		{"IdleResetter", caps.IdleReset, func() (bool, error) {
			return try(conn, func(f chat.IdleResetter) error { _, err := f.ResetIdle(r.ctx()); return err })
		}},
	} {
		implemented, err := a.try()
		switch {
		case a.can:
			assert.True(r, implemented, "no methods of chat.%s", a.name)
			assert.NoError(r, err, a.name)
		case implemented:
			assert.Equal(r, chat.CodeUnsupported, r.outcome(err, chat.NotSent).Code, a.name)
		}
	}
	for _, kind := range []chat.ReplyKind{chat.ReplyCard, chat.ReplyDatePicker, chat.ReplyForm, chat.ReplyListPicker, chat.ReplyQuickReply} {
		if !caps.CanReply(kind) {
			_, err := conn.Send(r.ctx(), chat.Action{Text: "no", Reply: &chat.Reply{Kind: kind, Text: "no"}})
			assert.Equal(r, chat.CodeUnsupported, r.outcome(err, chat.NotSent).Code, kind)
		}
	}
	assert.Empty(r, r.server.VisitorLines(conn.Session().ID))
}

// try calls a method if there is one.
func try[T any](conn chat.Conn, f func(T) error) (implemented bool, err error) {
	methods, ok := conn.(T)
	if ok {
		err = f(methods)
	}
	return ok, err
}

func capabilitiesChange(r *run) {
	if !r.features.ChangesCapabilities {
		return
	}
	server, ok := r.server.(CapabilityServer)
	require.True(r, ok, "the harness has no CapabilityServer")
	conn := r.open()
	ev, err := conn.Receive(r.ctx())
	require.NoError(r, err)
	assert.Nil(r, ev.Capabilities, "nothing has changed")
	filer, ok := conn.(chat.Filer)
	require.True(r, ok)
	for _, allowed := range []bool{false, true} {
		server.AllowFiles(conn.Session().ID, allowed)
		for ev = (chat.Event{}); ev.Capabilities == nil; {
			ev, err = conn.Receive(r.ctx())
			require.NoError(r, err)
		}
		assert.Equal(r, allowed, ev.Capabilities.Files)
		assert.True(r, ev.Capabilities.Equal(conn.Capabilities()))
		_, err = filer.SendFile(r.ctx(), text("a.txt", "x"))
		if allowed {
			require.NoError(r, err)
		} else {
			assert.Equal(r, chat.CodeUnsupported, r.outcome(err, chat.NotSent).Code)
		}
	}
}

func structuredContent(r *run) {
	conn := r.open()
	if len(conn.Capabilities().Replies) == 0 {
		return // Capabilities holds it to that
	}
	server, ok := r.server.(ContentServer)
	require.True(r, ok, "the harness has no ContentServer")
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	server.AgentOffer(id, "Ann", "Which colour?", &chat.Content{
		Items:        []chat.JSON{chat.JSON(`{"contentType":"QuickReply"}`)},
		QuickReplies: []chat.QuickReply{{Text: "Red", Payload: "RED"}},
	})
	lines := messages(r.lines(conn, said("Which colour?")))
	require.NotNil(r, lines[0].Content)
	assert.NotEmpty(r, lines[0].Content.Items)
	require.Equal(r, []chat.QuickReply{{Text: "Red", Payload: "RED"}}, lines[0].Content.QuickReplies)
	for _, kind := range conn.Capabilities().Replies {
		reply := chat.Reply{
			Kind: kind, ID: "the line", Text: "Red", Payload: json.RawMessage(`"RED"`),
			Options: []chat.PickerOption{{Text: "Red", Payload: "RED"}}, CannedResponseID: "c", FormData: json.RawMessage(`{"a":1}`),
		}
		_, err := conn.Send(r.ctx(), chat.Action{Text: "Red " + string(kind), Reply: &reply})
		require.NoError(r, err)
		own := messages(r.lines(conn, said("Red "+string(kind))))
		assert.True(r, own[len(own)-1].Own)
		replies := server.Replies(id)
		require.NotEmpty(r, replies)
		assert.Equal(r, kind, replies[len(replies)-1].Kind)
		assert.Equal(r, "Red", replies[len(replies)-1].Text)
	}
	assert.Len(r, server.Replies(id), len(conn.Capabilities().Replies))
}

func idleReset(r *run) {
	conn := r.open()
	resetter, ok := able[chat.IdleResetter](r, conn, func(c chat.Capabilities) bool { return c.IdleReset })
	if !ok {
		return
	}
	_, err := resetter.ResetIdle(r.ctx())
	require.NoError(r, err)
	id := conn.Session().ID
	assert.Empty(r, r.server.VisitorLines(id))
	r.server.EndChat(id)
	for err == nil {
		_, err = conn.Receive(r.ctx())
	}
	require.Equal(r, io.EOF, err)
	_, err = resetter.ResetIdle(r.ctx())
	r.outcome(err, chat.Gone)
}
