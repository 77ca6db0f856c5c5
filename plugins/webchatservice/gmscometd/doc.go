// Package gmscometd carries chats over the GMS Chat API version 2 in its CometD form. Requests are published on a
// Bayeux channel, and everything that the server says is pushed to it (wire-gms B).
//
// Each connection has a Bayeux session of its own: package bayeux keeps it, on a websocket where that works, else by
// long-polling. This package knows chats, and that one knows the session.
//
// # Goroutines
//
// A connection has the goroutines of its Bayeux client; one that attaches the chat again after a loss; and one that leaves
// the server once the chat is over. The last two live as long as what they do. Close waits for all of them.
//
// A function that was given to Await ([chat.Waker]) is called by the goroutine that has read the lines: to wake another
// one would take longer than everything else. If the function takes longer than 10 ms, or if a request is made meanwhile,
// another goroutine reads on. So the function may block, and may close the connection.
//
// # Requests
//
// A request is settled by what the transcript shows, and not by having been written: a line by coming back itself, an
// end by the end of the chat, a refusal by the delivery that says so. A line that Bayeux has taken, and of which nothing
// shows within Config.AjaxTimeout, gives a receipt that is not confirmed. One request is under way at a time,
// since a delivery does not say which request it answers.
//
// # Losses
//
// When the link is lost, Receive fails once for each attempt to connect that fails. The attempts follow one another after
// 1 s, then twice as long each time up to 8 s, less some chance. A request makes an attempt begin at once. With the link
// back, the chat is attached again where the transcript stands. So what was said meanwhile comes out once and in order.
//
// # Order
//
// Lines come out in the order of the transcript. A line that has overtaken others on its way waits for them for 250 ms.
// Lines that are pushed faster than they are received come out together. A receiver that stays away for [MaxQueue] lines
// stops the reading until it is back.
//
// Several connections may share a chat. Each of them gets all of it. Then one's own line cannot be told from an equal
// line that another connection sends in the same moment, unless lines are marked (Config.MarkLines).
package gmscometd
