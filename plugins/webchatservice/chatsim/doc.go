// Package chatsim plays chat servers, with agents behind them, to the programs
// that talk to such servers. It is to chat clients what net/http/httptest is to
// HTTP clients, and it is meant for other people's tests as much as for this
// module's. It knows no client.
//
//	sim := simulator.New(nil)
//	defer sim.Close()
//	client := myclient.New(gmssim.URL(sim), sim.Client())
//
// # The heart and its faces
//
// A [Server] keeps real state: any number of chats, each with its transcript,
// its participants, its attached data and its files. This package is the heart: what a chat is, whatever wire
// it is on. What is said on one wire is a [Face], in a package of its own:
//
//   - gmssim: the Genesys Mobile Services Chat API, version 2, over REST
//   - cometdsim: the same over CometD, and the files of its clients
//
// A face checks what it gets as strictly as the server that it plays, and answers with its codes. The package
// simulator makes a server with all faces; [New] makes one with those of [Options].
//
// # Agents
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
// carried out long after the connection broke. What a wire has of its own is in Fault.Details and in the options of
// its face, as quirks. [Server.Restart] forgets or keeps the chats, [Chat.Forget] makes a
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
