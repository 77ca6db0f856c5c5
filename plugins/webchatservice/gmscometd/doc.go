// Package gmscometd carries chats over the GMS Chat API version 2 in its CometD form: requests are published on a
// Bayeux channel, and everything the server says is pushed to it.
//
// Each connection has a Bayeux session of its own, on a websocket if there can be one, else by long-polling. It
// starts one goroutine, which keeps that session: it reads the socket or holds the poll, and follows the server's
// advice. Others live as long as what they do: one that writes while there is something to write, one that attaches
// the chat again after a loss, one that leaves the server once the chat is over. Close waits for all of them.
//
// Who awaits lines ([chat.Waker]) is called by the goroutine that has read them from the websocket: to wake another one
// would take longer than everything else. If the call takes longer than 10 ms, or a request is made meanwhile, another
// goroutine reads on, and the one that is away is its caller's, who may close the connection from there.
//
// A request is settled by what the transcript shows, not by having been written: a line by itself coming back, an
// end by the end, a refusal by the delivery that says so. While nothing shows, a line that Bayeux took is a
// receipt that is not confirmed, after [chat.Config.AjaxTimeout].
//
// When the link is lost, Receive fails once for each attempt that fails; attempts follow one another after 1 s, then
// twice as long each time up to 8 s, less some chance. Any request makes one at once. With the link back the chat is
// attached again where the transcript stands, so that what was said meanwhile comes out once and in order. Lines that
// overtake others on their way wait for them for a quarter of a second.
//
// Lines that are pushed faster than they are received come out together. A receiver that stays away for [MaxQueue]
// lines stops the reading until it is back.
//
// Several connections may share a chat: each gets all of it. What one's own line is then cannot be told from an equal
// line that another one sends in the same moment, unless lines are marked ([chat.Config.MarkLines]).
package gmscometd
