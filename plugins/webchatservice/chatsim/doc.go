// Package chatsim plays chat servers, with agents behind them, to the programs
// that talk to such servers. It is to chat clients what net/http/httptest is to
// HTTP clients, and it is meant for other people's tests as much as for this
// module's: it uses the standard library and gorilla/websocket, and knows no client.
//
//	sim := chatsim.New(nil)
//	defer sim.Close()
//	client := myclient.New(sim.GMSURL(), sim.Client())
//
// # What is behind it
//
// A [Server] keeps real state: any number of chats, each with its transcript,
// its participants, its attached data and its files. It checks what it gets as
// strictly as the servers it plays, and answers with their codes. It speaks the
// Genesys Mobile Services Chat API, version 2, over REST ([Server.GMSURL]) and
// over CometD ([Server.CometDURL], with files over [Server.FilesURL]). The chats
// are the same, whichever way they are reached.
//
// # CometD
//
// The Bayeux server takes long-polling and websockets on one path. It has the
// meta channels and the channel of each chat service ([Server.Channel]), to
// which nobody needs to subscribe. A session expires when its client is away
// for too long ([CometDOptions]); its chats go on, for a client that comes back
// with their key. Any number of sessions may attach themselves to one chat, and
// all get all of it, in order. The acknowledge extension is there.
//
// The answer to an operation is a delivery to the session that asked, and what
// the operation adds to the transcript comes in it; everything else is pushed.
// The reply to a publish comes before its delivery unless [Quirks] say
// otherwise. A client on long-polling needs a cookie jar.
//
// Agents are played by a [Script], or by the test through the [Desk], or by
// both. The standard script, [Scripted], is something to rely on: what it does
// is part of this package's promise.
//
// # Network
//
// The server listens on a [Network] in memory: reach it with [Server.Client] or
// [Server.DialContext]. The network can be reset, stalled, refused and
// partitioned. [Server.Handler] is an ordinary HTTP handler, to be served on a
// real socket with a http.Server of one's own; [Server.BaseURLs] names the
// addresses.
//
// # Time
//
// Everything with time in it (an agent's typing, a silent visitor's removal,
// delays) uses the time package and waits on channels, so that a server made in
// a testing/synctest bubble runs in the bubble's time and hours pass in
// milliseconds. Close the server before the bubble's function returns. Outside
// of a bubble the same runs in real time.
//
// # Faults
//
// [Server.Faults] makes chosen requests go wrong: refused, delayed, answered
// with half an answer or with a web page, carried out with the answer lost, or
// carried out long after the connection broke. [Quirks] choose where servers
// differ. [Server.Restart] forgets or keeps the chats, [Chat.Forget] makes a
// hole in a transcript. Of CometD clients, [Server.ForgetClients] forgets the
// sessions, [Server.DropSockets] breaks websockets, and [CometDOptions] puts
// several nodes behind the address.
//
// # Looking at it
//
// [Server.Chats] and [Chat.Snapshot] say what the server knows, and
// [Server.Requests] what it was asked; [Server.BayeuxClients] says who is
// connected. A visitor's line is in the transcript
// exactly as often as it was accepted. Secure keys and credentials are in
// neither.
//
// # Concurrency
//
// All exported methods may be called at any time from any goroutine; those
// that can wait take a context. [Server.Close] waits for everything that the
// server has started.
package chatsim
