package bayeux

import (
	"context"
	"net/http"
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Handler is told what happens in the session of one [Client]. The client's own goroutines call it, and wait for it while
// they do.
type Handler interface {
	// Deliver takes one message that the server has pushed: its channel, and its data, which is valid JSON in valid
	// UTF-8 and belongs to the client again when Deliver returns. It must not block. On long-polling two goroutines may
	// call it at once: the reader, and one that publishes.
	Deliver(channel string, data []byte)

	// Waiting is called after Deliver, once for all messages that were read together. It returns a function that takes
	// in what was delivered, or nil if nobody waits for it. The client calls that function once, soon. The function may
	// block, may call the client's methods, Close among them, and may end its goroutine. A panic in it is not recovered.
	Waiting() func()

	// AwaitRoom is called by the reader before it reads on. It may block: then nothing is read, and the server has to
	// wait. It reports whether it has blocked. It must return when [Client.Done] is closed.
	AwaitRoom() (waited bool)

	// Connected is called when there is a session and a connect was answered: after each handshake, after each loss, and
	// after an attempt to take the session over to a websocket has failed, since messages may have been lost with it.
	Connected()

	// Disconnected is called at the begin of each handshake: there is no session now. It is no failure.
	Disconnected()

	// Failed is called for each handshake and each connect that has failed. The first failure is the loss itself.
	Failed(e *chat.Error)

	// Secrets returns what must not show in the texts of errors. The client does not change the slice.
	Secrets() []chat.Secret
}

// HTTP makes the HTTP requests of a client: it knows the address, and adds header fields, credentials and cookies. It may
// be used by several goroutines at once.
type HTTP interface {
	// Post posts a unit of messages to the server's address with suffix appended, and waits for the answer at most limit.
	// It returns the body of an answer with HTTP status 200. Any other status is an error. The error's Outcome says
	// whether the server may have taken the messages in.
	Post(ctx context.Context, op, suffix string, unit []byte, limit time.Duration) ([]byte, *chat.Error)

	// Upgrade has dial open a websocket, with the header fields of a request, within limit. dial returns what a
	// websocket dialer does: the server's answer if there was one, and an error unless there is a websocket. Upgrade may
	// call it a second time with other credentials, when the first ones were refused (HTTP 401).
	Upgrade(ctx context.Context, op string, limit time.Duration, dial func(context.Context, http.Header) (*http.Response, error)) *chat.Error
}
