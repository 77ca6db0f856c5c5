// Package cometdsim is the CometD face of Genesys Mobile Services on a simulated chat server.
//
// The Bayeux server takes long-polling and websockets on one path. It has the
// meta channels and the channel of each chat service ([Channel]), to
// which nobody needs to subscribe. A session expires when its client is away
// for too long ([Options]); its chats go on, for a client that comes back
// with their key. Any number of sessions may attach themselves to one chat, and
// all get all of it, in order. The acknowledge extension is there.
//
// The answer to an operation is a delivery to the session that asked, and what
// the operation adds to the transcript comes in it; everything else is pushed.
// The reply to a publish comes before its delivery unless [Quirks] say
// otherwise. A client on long-polling needs a cookie jar.
//
// [Face.Clients] says who is connected, [Face.ForgetClients] forgets the sessions,
// [Face.DropSockets] breaks websockets, and Options.Nodes puts several nodes behind the address.
//
// The chats, their keys and the operations are those of the server's gmssim.Face.
package cometdsim
