package chattest

import (
	"context"
	"io"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// cases is the suite: each case with the rule that it guards, which is printed when it fails.
var cases = []struct {
	name string
	run  func(*run)
	rule string
}{
	{"OpenGivesSession", openGivesSession, `
		Open returns a connection that knows the chat's keys: an id and an authority over the chat, from the first
		moment. What the request carries arrives at the server.`},
	{"FirstReceiveBringsOwnJoin", firstReceiveBringsOwnJoin, `
		The first Receive returns at once, with what the answer to Open brought: the transcript begins with the
		visitor's own join, marked as own.`},
	{"LinesInOrderOnce", linesInOrderOnce, `
		Every line comes out exactly once and in the order of the transcript, whichever way it arrived: with the answer
		to a send, by a poll, by a push.`},
	{"OwnLineComesBack", ownLineComesBack, `
		A line sent comes back as the visitor's own, once, with its label. A receipt confirms exactly when the wire
		does; when not, the line that comes back is the confirmation.`},
	{"TextUnchanged", textUnchanged, `
		Text is carried unchanged, both ways: any character that JSON and forms can carry, white space, what looks like
		markup or like an escape.`},
	{"ReceiveHonoursContext", receiveHonoursContext, `
		Receive returns when its context ends, with the context's error in the chain, and loses nothing: the next
		Receive goes on.`},
	{"SendHonoursContext", sendHonoursContext, `
		Send returns when its context ends. With the request under way the server may accept it: the outcome is Unknown.
		With a context that had ended before, nothing is sent.`},
	{"CloseEndsCallsNotTheChat", closeEndsCallsNotTheChat, `
		Close ends the calls under way and fails those to come, may be called twice, and leaves the chat on the server
		alone.`},
	{"EndByServer", endByServer, `
		When the server ends the chat, the lines before the end come out, then one event says Ended, then io.EOF for
		ever; requests are then Gone.`},
	{"EndByVisitor", endByVisitor, `
		An action of kind ActionEnd ends the chat on the server; after its receipt Receive gives out what is left, the
		end, and io.EOF.`},
	{"OpenNotSent", openNotSent, `
		An Open that cannot connect says NotSent, has started nothing, and may be made again.`},
	{"OpenRejected", openRejected, `
		An Open that the server refuses says Rejected, with the server's codes, and is not to be repeated as it is.`},
	{"SendNotSent", sendNotSent, `
		A Send that fails before a byte was written says NotSent: the server has nothing, and sending again makes one
		line.`},
	{"SendUnknownWhenAnswerLost", sendUnknownWhenAnswerLost, `
		A Send whose answer is lost says Unknown: here the server has the line. The driver does not send it again by
		itself; the transcript shows it once.`},
	{"SendTimesOut", sendTimesOut, `
		A Send that the server does not answer in time gives up by itself, with outcome Unknown.`},
	{"RejectedCarriesCodes", rejectedCarriesCodes, `
		A request that the server refuses carries the server's codes and advice, and the chat goes on.`},
	{"NetworkDownAndBack", networkDownAndBack, `
		With the network down Receive fails, each time it is called, and never hangs; with the network back the next
		Receive reaches the server, and what was said meanwhile comes out once.`},
	{"SendsOneAfterTheOther", sendsOneAfterTheOther, `
		Sends are carried out one after the other, in the order of the calls, also when the server is slow.`},
	{"ResumeBringsTranscript", resumeBringsTranscript, `
		A chat can be taken up again from its session alone: from the beginning, with the whole transcript, or from a
		position, with what came after it.`},
	{"ResumeGone", resumeGone, `
		A chat that is over, or that the server does not know, cannot be resumed: Gone, not to be tried again. A network
		that is down is another matter: the chat may live.`},
	{"Typing", typing, `
		Typing is seen on the other side, and the other side's typing comes out of Receive.`},
	{"UserData", userData, `
		User data sent later is merged over what the chat has; every kind of value arrives as text.`},
	{"CustomNotice", customNotice, `
		A custom notice arrives as it was given, and is no message.`},
	{"Polling", polling, `
		A connection that polls can be told not to: Receive then waits for answers to requests, and one poll can still
		be made by hand. Started again it polls at once at its shortest interval.`},
	{"SecretsNeverPrinted", secretsNeverPrinted, `
		No key of the chat appears in anything that can be printed: connection, session, driver, events with their raw
		lines, receipts with their raw answers, errors of every outcome.`},
	{"FileSent", fileSent, `
		A file arrives byte for byte, with its name less any path, its type and its description, whether its size is
		known or not. Progress rises to the size. The receipt has the file's id, and the line about it comes out of
		Receive as the visitor's own, with id, name and size. The limits count it.`},
	{"FileNotSent", fileNotSent, `
		A file that the server refuses is Rejected with its code. One whose content fails, or is not as long as it says,
		is NotSent: the server has nothing of it. So is one while the network is down.`},
	{"FileReceived", fileReceived, `
		A file of an agent is announced by a line with its id, and can be fetched with it, byte for byte, with a name
		that is safe. A limit holds. An unknown id is refused.`},
	{"FileDeleted", fileDeleted, `
		A file of one's own can be taken back; a line says so.`},
	{"FilesBesideLines", filesBesideLines, `
		A transfer holds up neither lines nor another transfer. It ends with its context, and with Close; what did not
		arrive whole is not there.`},
	{"Refetch", refetch, `
		Any part of the transcript can be had once more, in order, without moving the reader: what was given out does
		not come out of Receive again, what is new still does, and the end, too.`},
	{"Await", await, `
		Who does not want to wait inside of Receive is called, once, when it is worth it: for a line, and for the loss
		of the connection. Nothing is missed meanwhile.`},
	{"PushURL", pushURL, `
		A URL pushed is a line whose text is the URL.`},
	{"Nickname", nickname, `
		A new nickname is a line that has it, and that of the lines after it.`},
	{"ReadMark", readMark, `
		How far the visitor has read is told in the terms of positions.`},
	{"Authorization", authorization, `
		Credentials are asked for once: for the first request, and when the server refuses those there are, however many
		requests it refuses. Those are made once more, and are done once. Credentials that stay refused are an error
		that may not be repeated; none of them can be seen.`},
	{"Capabilities", capabilities, `
		A connection says what can be done in the chat, and has the methods for it. What it has methods for and does not
		name fails as unsupported, and nothing is sent.`},
	{"CapabilitiesChange", capabilitiesChange, `
		When what can be done changes, an event says so, and from then on it can or cannot be done.`},
	{"LinesHavePlaces", linesHavePlaces, `
		Every line that can be asked for has a place of its own. A reader who resumes from the place of a line gets what
		came behind it; the place of the last line is where the reader stands.`},
	{"KnownLines", knownLines, `
		When a chat is taken up again, the lines up to where the reader stood are marked as known, and the lines behind
		it are not, nor are those that come later. A place that the chat does not have makes no line known.`},
	{"History", history, `
		Of a long chat that is taken up at its end the first event says that there is more before; pages go back without
		a hole and without doubles, to the beginning, which is told.`},
	{"MissingLines", missingLines, `
		Where the server did not give lines, the line behind them says so. Asked again, the lines come with the line
		that each follows; what the server has lost stays marked.`},
	{"LinesInDisorder", linesInDisorder, `
		Lines that overtook others within the window come out in the order of the transcript. One that comes later than
		that comes out all the same, once, with the line behind which it belongs.`},
	{"StructuredContent", structuredContent, `
		Structured content comes with the line, with a text beside it. An answer to it arrives as the answer that it is,
		and comes back as an own line with its text.`},
	{"IdleReset", idleReset, `
		The idle timer can be stopped by a visitor who has nothing to say. That makes no message.`},
}

func openGivesSession(r *run) {
	conn := r.open()
	s := conn.Session()
	assert.NotEmpty(r, s.ID)
	assert.False(r, s.SecureKey.IsZero())
	assert.Equal(r, 1, r.server.Chats())
	assert.Equal(r, "gold", r.server.UserData(s.ID)["tier"])
	other := r.open()
	assert.NotEqual(r, s.ID, other.Session().ID, "two chats have one id")
}

func firstReceiveBringsOwnJoin(r *run) {
	conn := r.open()
	begin := time.Now()
	ev, err := conn.Receive(r.ctx())
	require.NoError(r, err)
	assert.Zero(r, time.Since(begin), "the first Receive waited")
	require.NotEmpty(r, ev.Messages)
	join := ev.Messages[0]
	assert.Equal(r, chat.KindParticipantJoined, join.Kind)
	assert.Equal(r, chat.RoleClient, join.From.Role)
	assert.Equal(r, "Ada", join.From.Name)
	assert.True(r, join.Own)
	assert.NotEmpty(r, join.Raw)
	assert.False(r, join.Time.IsZero())
	assert.Equal(r, ev.Position, conn.Position())
}

func linesInOrderOnce(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	var want []string
	var got []chat.Message
	for _, round := range []string{"1", "2", "3", "4"} {
		r.server.AgentSay(id, "Ann", "ann "+round)
		r.send(conn, "ada "+round)
		r.server.AgentSay(id, "Ann", "ann again "+round)
		want = append(want, "ann "+round, "ada "+round, "ann again "+round)
		if round == "2" { // some are read in between, the rest pile up
			got = append(got, r.lines(conn, said("ann again 2"))...)
		}
	}
	got = append(got, r.lines(conn, said("ann again 4"))...)
	assert.Equal(r, want, texts(got))
	if r.features.Indexes {
		for i := range got {
			require.NotZero(r, got[i].Index)
			if i > 0 {
				assert.Less(r, got[i-1].Index, got[i].Index)
			}
		}
	}
	// Nothing more comes, however long one listens.
	ctx, cancel := context.WithTimeout(r.ctx(), 30*time.Second)
	defer cancel()
	for {
		ev, err := conn.Receive(ctx)
		if err != nil {
			break
		}
		assert.Empty(r, texts(ev.Messages))
	}
}

func ownLineComesBack(r *run) {
	conn := r.open()
	receipt, err := conn.Send(r.ctx(), chat.Action{Text: "Hello", MessageType: "greeting", ClientID: "m-1"})
	require.NoError(r, err)
	assert.Equal(r, r.features.Confirms, receipt.Confirmed)
	got := r.lines(conn, said("Hello"))
	require.Equal(r, []string{"Hello"}, texts(got))
	line := got[len(got)-1]
	assert.True(r, line.Own)
	assert.Equal(r, chat.RoleClient, line.From.Role)
	if r.features.ClientID {
		assert.Equal(r, "m-1", line.ClientID)
	} else {
		assert.Empty(r, line.ClientID)
	}
	if assert.Equal(r, r.features.LineID, receipt.ID != ""); receipt.ID != "" {
		assert.Equal(r, receipt.ID, line.ID)
	}
	assert.Equal(r, []string{"Hello"}, r.server.VisitorLines(conn.Session().ID))
}

func textUnchanged(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	all := []string{
		"a+b & c=d; 100% %41 ?x#y", "line one\nline two\ttab\r\n", "  spaces  ", `{"json":["\u0041", "\\"]}`, "<b>&amp;</b>",
		"Zażółć gęślą jaźń", "שלום مرحبا", "日本語テキスト", "👩‍👩‍👧‍👦 e\u0301 \u200d\ufeff", "\u2028\u2029", "userData[x]=1",
	}
	for _, text := range all {
		r.send(conn, text)
		r.server.AgentSay(id, "Ann", text)
	}
	assert.Equal(r, all, r.server.VisitorLines(id))
	r.send(conn, "that is all")
	var own, theirs []string
	for _, l := range r.lines(conn, said("that is all")) {
		switch {
		case l.Kind != chat.KindMessage:
		case l.Own:
			own = append(own, l.Text)
		default:
			theirs = append(theirs, l.Text)
		}
	}
	assert.Equal(r, append(all, "that is all"), own)
	assert.Equal(r, all, theirs)
}

func receiveHonoursContext(r *run) {
	conn := r.open()
	_, err := conn.Receive(r.ctx())
	require.NoError(r, err)
	ctx, cancel := context.WithCancel(r.ctx())
	time.AfterFunc(100*time.Millisecond, cancel)
	begin := time.Now()
	for err == nil {
		_, err = conn.Receive(ctx)
	}
	require.ErrorIs(r, err, context.Canceled)
	assert.Equal(r, 100*time.Millisecond, time.Since(begin))
	r.server.AgentJoin(conn.Session().ID, "Ann")
	r.server.AgentSay(conn.Session().ID, "Ann", "still here?")
	assert.Equal(r, []string{"still here?"}, texts(r.lines(conn, said("still here?"))))
}

func sendHonoursContext(r *run) {
	conn := r.open()
	r.server.Delay(time.Second)
	ctx, cancel := context.WithTimeout(r.ctx(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := conn.Send(ctx, chat.Action{Text: "never mind"})
	assert.Equal(r, 100*time.Millisecond, time.Since(begin))
	r.outcome(err, chat.Unknown)
	require.ErrorIs(r, err, context.DeadlineExceeded)

	before := len(r.server.VisitorLines(conn.Session().ID))
	_, err = conn.Send(ctx, chat.Action{Text: "too late"})
	r.outcome(err, chat.NotSent)
	require.ErrorIs(r, err, context.DeadlineExceeded)
	assert.NotContains(r, r.server.VisitorLines(conn.Session().ID)[before:], "too late")
}

func closeEndsCallsNotTheChat(r *run) {
	conn := r.open()
	var wg sync.WaitGroup
	var received, sent error
	var ended [2]time.Time // when the calls did
	wg.Go(func() {
		for received == nil {
			_, received = conn.Receive(r.ctx())
		}
		ended[0] = time.Now()
	})
	synctest.Wait()
	r.server.Delay(time.Second)
	wg.Go(func() {
		_, sent = conn.Send(r.ctx(), chat.Action{Text: "in flight"})
		ended[1] = time.Now()
	})
	time.Sleep(100 * time.Millisecond)
	begin := time.Now()
	require.NoError(r, conn.Close())
	assert.LessOrEqual(r, time.Since(begin), time.Second, "a server that is slow was waited for")
	wg.Wait()
	assert.Equal(r, [2]time.Time{begin, begin}, ended, "calls went on after Close")
	require.ErrorIs(r, received, chat.ErrClosed)
	require.ErrorIs(r, sent, chat.ErrClosed)
	r.outcome(sent, chat.Unknown)
	_, err := conn.Receive(r.ctx())
	require.ErrorIs(r, err, chat.ErrClosed)
	_, err = conn.Send(r.ctx(), chat.Action{Text: "after"})
	require.ErrorIs(r, err, chat.ErrClosed)
	r.outcome(err, chat.NotSent)
	require.NoError(r, conn.Close())
	assert.False(r, r.server.Ended(conn.Session().ID), "Close ended the chat")
}

func endByServer(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.server.AgentSay(id, "Ann", "Bye")
	r.server.EndChat(id)
	events := r.toEnd(conn)
	var all []chat.Message
	for i, ev := range events {
		all = append(all, ev.Messages...)
		assert.Equal(r, i == len(events)-1, ev.Ended, "event %d of %d", i+1, len(events))
	}
	assert.Equal(r, []string{"Bye"}, texts(all))
	for range 3 {
		_, err := conn.Receive(r.ctx())
		require.Equal(r, io.EOF, err)
	}
	_, err := conn.Send(r.ctx(), chat.Action{Text: "too late"})
	r.outcome(err, chat.Gone)
	require.ErrorIs(r, err, chat.ErrEnded)
}

func endByVisitor(r *run) {
	conn := r.open()
	r.send(conn, "Bye")
	_, err := conn.Send(r.ctx(), chat.Action{Kind: chat.ActionEnd})
	require.NoError(r, err)
	assert.True(r, r.server.Ended(conn.Session().ID))
	events := r.toEnd(conn)
	require.NotEmpty(r, events)
	last := events[len(events)-1]
	assert.True(r, last.Ended)
	assert.Equal(r, chat.EndVisitor, last.EndedBy)
	var all []chat.Message
	for _, ev := range events {
		all = append(all, ev.Messages...)
	}
	assert.Equal(r, []string{"Bye"}, texts(all))
	_, err = conn.Send(r.ctx(), chat.Action{Kind: chat.ActionEnd})
	r.outcome(err, chat.Gone)
}

func openNotSent(r *run) {
	r.server.Partition()
	_, err := r.server.Driver().Open(r.ctx(), visitor())
	e := r.outcome(err, chat.NotSent)
	assert.True(r, e.Retryable())
	assert.Equal(r, chat.CodeNetwork, e.Code)
	assert.Zero(r, r.server.Chats())
	r.server.Heal()
	r.open()
	assert.Equal(r, 1, r.server.Chats())
}

func openRejected(r *run) {
	r.server.Refuse("161", "nickname")
	_, err := r.server.Driver().Open(r.ctx(), visitor())
	e := r.outcome(err, chat.Rejected)
	assert.False(r, e.Retryable())
	assert.Equal(r, []chat.ServerError{{Code: "161", Advice: "nickname"}}, e.Errors)
	assert.Zero(r, r.server.Chats())
}

func sendNotSent(r *run) {
	conn := r.open()
	r.server.Partition()
	synctest.Wait() // the cut reaches idle connections
	_, err := conn.Send(r.ctx(), chat.Action{Text: "Hello"})
	e := r.outcome(err, chat.NotSent)
	assert.True(r, e.Retryable())
	r.server.Heal()
	assert.Empty(r, r.server.VisitorLines(conn.Session().ID))
	r.send(conn, "Hello")
	assert.Equal(r, []string{"Hello"}, r.server.VisitorLines(conn.Session().ID))
}

func sendUnknownWhenAnswerLost(r *run) {
	conn := r.open()
	r.server.LoseAnswer()
	_, err := conn.Send(r.ctx(), chat.Action{Text: "Hello"})
	e := r.outcome(err, chat.Unknown)
	assert.False(r, e.Retryable())
	assert.Equal(r, []string{"Hello"}, r.server.VisitorLines(conn.Session().ID))
	r.send(conn, "World")
	assert.Equal(r, []string{"Hello", "World"}, texts(r.lines(conn, said("World"))))
}

func sendTimesOut(r *run) {
	conn := r.open()
	r.server.Delay(time.Hour)
	begin := time.Now()
	_, err := conn.Send(context.Background(), chat.Action{Text: "Hello?"})
	r.outcome(err, chat.Unknown)
	assert.Equal(r, Timeout, time.Since(begin))
	r.server.Delay(0)
}

func rejectedCarriesCodes(r *run) {
	conn := r.open()
	r.server.Refuse("204", "too long")
	_, err := conn.Send(r.ctx(), chat.Action{Text: "a very long line"})
	e := r.outcome(err, chat.Rejected)
	assert.False(r, e.Retryable())
	assert.Equal(r, chat.CodeRefused, e.Code)
	assert.Equal(r, []chat.ServerError{{Code: "204", Advice: "too long"}}, e.Errors)
	assert.Contains(r, err.Error(), "204")
	r.send(conn, "short")
	assert.Equal(r, []string{"short"}, texts(r.lines(conn, said("short"))))
}

func networkDownAndBack(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.lines(conn, saw(chat.KindParticipantJoined, chat.RoleAgent))
	r.server.Partition()
	r.server.AgentSay(id, "Ann", "can you hear me?")
	for range 3 {
		_, err := conn.Receive(r.ctx())
		var e *chat.Error
		require.ErrorAs(r, err, &e)
		assert.Equal(r, chat.CodeNetwork, e.Code)
		assert.NotEqual(r, chat.Gone, e.Outcome)
		assert.NotErrorIs(r, err, io.EOF)
	}
	r.server.Heal()
	begin := time.Now()
	assert.Equal(r, []string{"can you hear me?"}, texts(r.lines(conn, said("can you hear me?"))))
	assert.Less(r, time.Since(begin), 10*time.Second)

	// Back with nothing new: an event all the same.
	r.server.Partition()
	_, err := conn.Receive(r.ctx())
	require.Error(r, err)
	r.server.Heal()
	_, err = conn.Receive(r.ctx())
	require.NoError(r, err)
}

func sendsOneAfterTheOther(r *run) {
	conn := r.open()
	r.server.Delay(time.Second)
	want := []string{"1", "2", "3", "4", "5", "6"}
	errs := make([]error, len(want))
	var wg sync.WaitGroup
	for i, text := range want {
		wg.Go(func() { _, errs[i] = conn.Send(r.ctx(), chat.Action{Text: text}) })
		synctest.Wait() // the call has taken its place
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(r, err)
	}
	assert.Equal(r, want, r.server.VisitorLines(conn.Session().ID))
	r.server.Delay(0)
	assert.Equal(r, want, texts(r.lines(conn, said("6"))))
}

func resumeBringsTranscript(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	r.send(conn, "one")
	r.server.AgentSay(id, "Ann", "two")
	r.lines(conn, said("two"))
	session, position := conn.Session(), conn.Position()
	require.NoError(r, conn.Close())
	r.server.AgentSay(id, "Ann", "three")

	driver, ok := r.resumer()
	if !ok {
		return
	}
	whole, err := driver.Resume(r.ctx(), chat.ResumeRequest{Session: session})
	require.NoError(r, err)
	r.closeLater(whole)
	got := r.lines(whole, said("three"))
	assert.Equal(r, []string{"one", "two", "three"}, texts(got))
	assert.True(r, saw(chat.KindParticipantJoined, chat.RoleClient)(got))
	assert.Equal(r, session.ID, whole.Session().ID)

	rest, err := driver.Resume(r.ctx(), chat.ResumeRequest{Session: session, From: position})
	require.NoError(r, err)
	r.closeLater(rest)
	assert.Equal(r, []string{"three"}, texts(r.lines(rest, said("three"))))
	r.send(rest, "four")
	assert.Equal(r, []string{"four"}, texts(r.lines(rest, said("four"))))
}

func resumeGone(r *run) {
	conn := r.open()
	driver, ok := r.resumer()
	if !ok {
		return
	}
	r.server.Partition()
	_, err := driver.Resume(r.ctx(), chat.ResumeRequest{Session: conn.Session()})
	r.outcome(err, chat.NotSent)
	r.server.Heal()

	r.server.EndChat(conn.Session().ID)
	_, err = driver.Resume(r.ctx(), chat.ResumeRequest{Session: conn.Session()})
	r.outcome(err, chat.Gone)
	require.ErrorIs(r, err, chat.ErrEnded)

	unknown := conn.Session()
	unknown.ID = "0000000000000000"
	_, err = driver.Resume(r.ctx(), chat.ResumeRequest{Session: unknown})
	r.outcome(err, chat.Gone)
}

func typing(r *run) {
	conn := r.open()
	id := conn.Session().ID
	r.server.AgentJoin(id, "Ann")
	typer, ok := able[chat.Typer](r, conn, func(c chat.Capabilities) bool { return c.Typing })
	if ok {
		_, err := typer.Typing(r.ctx(), true, "Hel")
		require.NoError(r, err)
		assert.True(r, r.server.VisitorTyping(id))
		_, err = typer.Typing(r.ctx(), false, "")
		require.NoError(r, err)
		assert.False(r, r.server.VisitorTyping(id))
	}
	r.server.AgentTyping(id, "Ann", true)
	got := r.lines(conn, saw(chat.KindTypingStarted, chat.RoleAgent))
	assert.Equal(r, "Ann", got[len(got)-1].From.Name)
}

func userData(r *run) {
	conn := r.open()
	updater, ok := able[chat.DataUpdater](r, conn, func(c chat.Capabilities) bool { return c.UserData })
	if !ok {
		return
	}
	_, err := updater.UpdateUserData(r.ctx(), map[string]any{"order": "A&B=1", "Größe[x]": "ü", "count": 3})
	require.NoError(r, err)
	data := r.server.UserData(conn.Session().ID)
	assert.Equal(r, "gold", data["tier"])
	assert.Equal(r, "A&B=1", data["order"])
	assert.Equal(r, "ü", data["Größe[x]"])
	assert.Equal(r, "3", data["count"])
	_, err = updater.UpdateUserData(r.ctx(), map[string]any{"tier": "platinum"})
	require.NoError(r, err)
	assert.Equal(r, "platinum", r.server.UserData(conn.Session().ID)["tier"])
}

func customNotice(r *run) {
	conn := r.open()
	notifier, ok := able[chat.Notifier](r, conn, func(c chat.Capabilities) bool { return c.Notices })
	if !ok {
		return
	}
	_, err := notifier.CustomNotice(r.ctx(), `{"page":"cart"}`, nil)
	require.NoError(r, err)
	assert.Equal(r, []string{`{"page":"cart"}`}, r.server.Notices(conn.Session().ID))
	assert.Empty(r, r.server.VisitorLines(conn.Session().ID))
}

func polling(r *run) {
	conn := r.open()
	id := conn.Session().ID
	poller, ok := able[chat.Poller](r, conn, func(c chat.Capabilities) bool { return c.Polling })
	if !ok {
		return
	}
	assert.True(r, poller.Polling())
	r.server.AgentJoin(id, "Ann")
	r.lines(conn, saw(chat.KindParticipantJoined, chat.RoleAgent))
	assert.True(r, poller.StopPoll())
	assert.False(r, poller.StopPoll())
	assert.False(r, poller.Polling())
	r.server.AgentSay(id, "Ann", "one")
	ctx, cancel := context.WithTimeout(r.ctx(), 10*time.Second)
	defer cancel()
	_, err := conn.Receive(ctx)
	require.ErrorIs(r, err, context.DeadlineExceeded, "polled though stopped")

	_, err = poller.Poll(r.ctx())
	require.NoError(r, err)
	begin := time.Now()
	assert.Equal(r, []string{"one"}, texts(r.lines(conn, said("one"))))
	assert.Zero(r, time.Since(begin))

	r.server.AgentSay(id, "Ann", "two")
	assert.True(r, poller.StartPoll())
	assert.False(r, poller.StartPoll())
	assert.Equal(r, []string{"two"}, texts(r.lines(conn, said("two"))))
	assert.LessOrEqual(r, time.Since(begin), time.Second)
}
