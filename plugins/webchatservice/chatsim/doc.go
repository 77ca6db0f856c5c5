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
// Genesys Mobile Services Chat API, version 2, over REST ([Server.GMSURL]).
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
// hole in a transcript.
//
// # Looking at it
//
// [Server.Chats] and [Chat.Snapshot] say what the server knows, and
// [Server.Requests] what it was asked. A visitor's line is in the transcript
// exactly as often as it was accepted. Secure keys and credentials are in
// neither.
//
// # Concurrency
//
// All exported methods may be called at any time from any goroutine; those
// that can wait take a context. [Server.Close] waits for everything that the
// server has started.
package chatsim
