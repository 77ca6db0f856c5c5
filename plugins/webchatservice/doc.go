// Package webchatservice keeps a visitor's chat session on the bus.
//
// It is the vendor's WebChatService (reference: webchatservice) as a plugin: same commands, same events,
// same fields, same texts. It has no user interface and knows no wire: drivers of package chat, given
// in [Options], carry the chat.
//
//	driver, err := gmsrest.New(gmsrest.Config{DataURL: "https://gms.example.net/genesys/2/chat/customer-support"}, nil)
//	...
//	b := bus.New(nil)
//	err = b.Start(ctx, webchatservice.New(&webchatservice.Options{Driver: driver}))
//	...
//	vera, err := webchatservice.Open(ctx, client, webchatservice.StartChatIn{Nickname: "Vera"})
//	for m := range vera.Lines(ctx) {
//		fmt.Println(m.From.Name+":", m.Text)
//	}
//
// [Open] gives a chat as a value; beneath it are the commands and events, which do all that the vendor's do.
//
// A program whose users choose the wire gives Options.Drivers, and the configuration selects one and has its options.
//
// # What one can rely on
//
//   - Every command settles.
//   - Events are changes of state, published in the order of the changes: disconnected and
//     reconnected alternate, a participant who is there does not come again, and each session
//     has exactly one ended, with its reason, after everything else that it publishes.
//   - Every line of the transcript is published once, in order.
//   - Messages are sent in the order of the calls, at most once. sendMessage resolves when the
//     server has the message, and not before; it rejects with [ErrNotSent] when the server
//     surely does not have it, and with [ErrSendUnknown] when nobody can tell. While the
//     network is down messages wait. Cancelling the caller's context takes back one that is
//     not under way yet ([ErrWithdrawn]).
//   - startChat whose context ends before the server has answered, and endChat during a
//     start, leave no chat behind: what began is ended.
//   - Payloads are immutable: participants come as snapshots.
//   - The secureKey and other secrets are in no event, log or error. The command
//     getSessionData gives the key.
//   - Without a session the service has no goroutine. Stopping it waits for all that it
//     started. Without a [Store] a chat is then ended on the server, since nobody could take it up again;
//     with one it stays, and restore takes it up.
//
// Commands and subscribers may overlap everything. A [Service] belongs to one bus.
package webchatservice
