// Package chat defines what a chat looks like, whatever wire carries it.
//
// A transport is a [Driver]; an open chat on it is a [Conn]. The service above drives them; it
// knows no wire, and a driver knows neither the service nor the bus. A driver speaks, it does not
// decide: it makes one attempt for each call, it tells exactly what became of it, and it leaves
// retrying, back-off, the outbox and the meaning of "interrupted" and "restored" to its caller. Only
// the timing that a protocol itself mandates (the pace of polling, what the server advises) is the driver's.
//
// # What a caller can rely on
//
//   - Everything the server says about the chat comes out of [Conn.Receive], in order, once, also
//     what arrived in the answer to a Send. A [Receipt] only says what became of the request.
//   - Within one [Event] the messages are in the order of the transcript. No line that carries an
//     index or an id comes out twice, however often polls, answers and pushes repeat it.
//   - Receive never hangs: it ends with an event, an [*Error], [io.EOF] after the chat has ended,
//     the caller's context, or Close. After a failed Receive the connection is still good: the
//     next Receive tries again (a poll wire polls, a push wire connects again and re-attaches
//     where the reader stands), and the first one that reaches the server again returns an
//     Event, be it an empty one.
//   - Send never hangs either, and its error says whether the server may have accepted it: see
//     [Outcome].
//   - The end comes out of Receive as one Event with Ended set, after it io.EOF for ever.
//   - Close lets go of the connection and leaves the chat to the server; an action of kind
//     [ActionEnd] ends the chat.
//   - One attempt is one attempt: nothing is repeated but a request that credentials failed (HTTP
//     401), once, with those that [Options.Authorization] gives then.
//   - No error, log record, printed value or raw answer contains a key: see [Secret].
//
// Package chattest holds the suite that every driver passes; its cases are these promises.
package chat
