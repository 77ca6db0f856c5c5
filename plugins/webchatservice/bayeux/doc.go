// Package bayeux keeps a session with a Bayeux server, such as CometD. It knows nothing of what is said in the session.
//
// A [Client] makes the session ([Client.Start]), keeps it, and makes another one when it is lost. [Client.Publish] sends;
// what the server pushes goes to a [Handler]. The messages travel on a websocket where that works, else by long-polling.
// The client finds that out by itself, and tries the websocket again from time to time.
//
// # Order
//
// Messages come to [Handler.Deliver] in the order in which they were read. On a websocket that is the order of the
// server. On long-polling a reply to a publish may bring messages, too, and may overtake the answer to a connect.
// [Handler.Connected], [Handler.Disconnected] and [Handler.Failed] are called one at a time.
//
// # Goroutines
//
// One goroutine, the reader, keeps the session: it makes the handshakes and the connects, reads the websocket or holds
// the poll, and calls the handler. On a websocket there is a second one while there is something to write.
//
// When messages were delivered, the reader asks [Handler.Waiting] for a function to call, and calls it itself: to wake
// another goroutine would take longer than everything else. That function may do what it likes, and may take its time.
// If it takes longer than 10 ms, or if the websocket is needed meanwhile, another goroutine becomes the reader. The one
// that is away comes back to find that out, and ends. So there is a reader at all times, and never two.
//
// # What blocks
//
// Publish waits for its replies, as long as its context lives and [Options.Timeout] lasts. Close waits for the server's
// goodbye, one second at most, and for the client's goroutines. Nothing else of a Client blocks. Of a handler's methods
// AwaitRoom alone may block, and the function that Waiting returns.
//
// # Losses
//
// A handshake or a connect that fails is told to [Handler.Failed], and is tried again: after 1 s, then twice as long each
// time, less some chance, up to 60 s, or 8 s once [Client.InUse] was called. [Client.Retry] ends the pause. If the server
// advises to stop, the client stops ([Client.Stopped]) until [Client.Resume].
//
// A session that the server does not know any more (402) is made anew without a pause, and without its old cookie. The
// handler is told by Disconnected, and by Connected once there is a new one. What was pushed in between is lost: a Bayeux
// server keeps nothing for a session that it has forgotten.
//
// Nothing is sent twice. An error of Publish says whether the server may have got the messages.
//
// # The end
//
// [Client.Close] leaves the server. After it has returned no goroutine of the client runs, but for a function of Waiting
// that has not returned yet, and no method of the handler is called any more. All methods may be called after Close:
// Publish fails with code [chat.CodeClosed], the others do nothing. Close may be called more than once, from any
// goroutine, also from a function of Waiting.
//
// wire-gms D has the protocol, and what real servers make of it.
package bayeux
