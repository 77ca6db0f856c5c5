package webchatservice

import (
	"errors"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The service's own failures. Every command that can return one of them says so; errors.Is matches by
// code. Where the vendor has a text for the condition, Text is exactly that (webchatservice,
// appendix A).
var (
	// ErrInvalidConfig: options are missing, out of range, or no driver wants them. Returned by
	// configure, by starting the plugin, and by startChat and restore where nothing was configured.
	ErrInvalidConfig = &bus.Error{Code: "webchat.invalid-configuration", Text: "Invalid configuration"}
	// ErrInvalidTransport: no driver at hand speaks the wire that the configuration asks for. Returned as
	// ErrInvalidConfig is.
	ErrInvalidTransport = &bus.Error{Code: "webchat.invalid-transport", Text: "Invalid transport configuration"}
	// ErrSessionActive: startChat while there is a session, also one that is starting or ending.
	ErrSessionActive = &bus.Error{Code: "webchat.session-active", Text: "There is already an active chat session"}
	// ErrNoSession: a command that needs a session, without one; also when the session ended meanwhile.
	ErrNoSession = &bus.Error{Code: "webchat.no-session", Text: "There is no active chat session"}
	// ErrUserData: userData is neither an object nor the JSON of one. Returned by startChat.
	ErrUserData = &bus.Error{Code: "webchat.malformed-user-data", Text: "malformed JSON provided in userData property"}
	// ErrOtherTransport: options that only another transport has. Returned by startChat.
	ErrOtherTransport = &bus.Error{Code: "webchat.other-transport", Text: "Transport not supported"}
	// ErrGoOnly: a remote caller, or one with JSON, wants to give what only Go code can give. Returned by
	// registerPreProcessor and registerTypingPreviewInput.
	ErrGoOnly = &bus.Error{Code: "webchat.go-only", Text: "only Go code in the same process can give a function"}
	// ErrNoText: the message is empty or white space. Returned by sendMessage and sendFilteredMessage.
	ErrNoText = &bus.Error{Code: "webchat.no-text", Text: "No message text provided"}
	// ErrTooLong: the message has more code points than maxMessageLength. Returned by the commands
	// that send one.
	ErrTooLong = &bus.Error{Code: "webchat.too-long", Text: "Message length exceeds configured threshold"}
	// ErrOutboxFull: too many messages wait for the network. Returned by the commands that send one.
	ErrOutboxFull = &bus.Error{Code: "webchat.outbox-full", Text: "too many messages wait to be sent"}
	// ErrNotSent: the server surely does not have the message, and will not get it: the session ended, it
	// waited too long, the server refused it, or failed and does not show it. Returned by the commands that send one.
	ErrNotSent = &bus.Error{Code: "webchat.not-sent", Text: "message was not sent"}
	// ErrSendUnknown: the connection broke while the message was under way, and the transcript did not show it in
	// time; or another service has taken the session up, and goes on with the message. It is not sent again by
	// itself. Returned by the commands that send one.
	ErrSendUnknown = &bus.Error{Code: "webchat.send-unknown", Text: "send unknown"}
	// ErrWithdrawn: the caller's context ended, or discard was called, before the message was under way; it is
	// not sent. Returned by the commands that send one; who waits with Call, on the context that ended, gets
	// the bus's error instead.
	ErrWithdrawn = &bus.Error{Code: "webchat.withdrawn", Text: "message was withdrawn"}
	// ErrStartUnknown: the connection broke while the start was under way: there may be a chat that
	// nobody holds the keys of; the server drops it soon. Returned by startChat.
	ErrStartUnknown = &bus.Error{Code: "webchat.start-unknown", Text: "start unknown"}
	// ErrStartFailed: the chat could not be started. Returned by startChat.
	ErrStartFailed = &bus.Error{Code: "webchat.start-failed", Text: "chat could not be started"}
	// ErrStartEnded: endChat, or the end of the program, came before the chat had started.
	// Returned by startChat and restore.
	ErrStartEnded = &bus.Error{Code: "webchat.start-ended", Text: "chat was ended before it had started"}
	// ErrServerNotTold: the session is over here, and the server could not be told. Returned by
	// endChat.
	ErrServerNotTold = &bus.Error{Code: "webchat.server-not-told", Text: "chat ended here, the server was not told"}
	// ErrRequest: a request other than a start, a message or the end failed; Err tells how.
	ErrRequest = &bus.Error{Code: "webchat.request-failed", Text: "request failed"}
	// ErrInterrupted: the command needs the network, and the network is down. Returned by sendTyping; it is
	// also why messages are not sent that waited when endChat came.
	ErrInterrupted = &bus.Error{Code: "webchat.interrupted", Text: "connection to the chat server is interrupted"}
	// ErrPrivate: poll called by another plugin. It does not poll then.
	ErrPrivate = &bus.Error{Code: "webchat.private", Text: "Access Denied to private command. Only WebChatService is allowed to invoke this command"}
	// ErrPollPending: poll while one is under way.
	ErrPollPending = &bus.Error{Code: "webchat.poll-pending", Text: "previous poll has not finished"}
	// ErrNotPolling: stopPoll while not polling.
	ErrNotPolling = &bus.Error{Code: "webchat.not-polling", Text: "Not currently polling. Ignoring command."}
	// ErrNoPolling: poll, startPoll, stopPoll or pausePoll on a wire that pushes.
	ErrNoPolling = &bus.Error{Code: "webchat.no-polling", Text: "This transport doesn't support polling."}
	// ErrNoUserData: updateUserData during a session on a wire that has no such request.
	ErrNoUserData = &bus.Error{Code: "webchat.no-user-data", Text: "This transport doesn't support updating userData during an active chat session."}
	// ErrNoTyping: sendTyping on a wire that cannot tell.
	ErrNoTyping = &bus.Error{Code: "webchat.no-typing", Text: "Transport not supported"}
	// ErrRestoring: restore while one is under way.
	ErrRestoring = &bus.Error{Code: "webchat.restoring", Text: "Already restoring. Ignoring request."}
	// ErrAlreadyActive: restore while a session is active. Nothing changes.
	ErrAlreadyActive = &bus.Error{Code: "webchat.already-active", Text: "Chat session is already active, ignoring restore command."}
	// ErrNothingStored: restore without a stored session, or with one that is too old.
	ErrNothingStored = &bus.Error{Code: "webchat.nothing-stored", Text: "No chat session found to restore."}
	// ErrNoRestore: restore or asyncRestore on a wire that cannot take a chat up again.
	ErrNoRestore = &bus.Error{Code: "webchat.no-restore", Text: "Transport not supported"}
	// ErrSessionOver: restore of a session that the server says is over; it was cleared.
	ErrSessionOver = &bus.Error{Code: "webchat.session-over", Text: "customer disconnected, conversation ended"}
	// ErrSessionMoved: another service has taken the session up: this one knows no more of it. Returned by restore and
	// asyncRestore; it is also the cause in the errors of messages that waited here.
	ErrSessionMoved = &bus.Error{Code: "webchat.session-moved", Text: "chat session was taken up by another service"}
	// ErrRestoreFailed: restore could not reach the server; the stored session is kept.
	ErrRestoreFailed = &bus.Error{Code: "webchat.restore-failed", Text: "chat session could not be restored"}
	// ErrNoNotice: sendCustomNotice on a wire that has none.
	ErrNoNotice = &bus.Error{Code: "webchat.no-notice", Text: "This transport doesn't support sendCustomNotice command."}
	// ErrNoPostback: sendMessage with a postback on a wire that cannot carry an answer of that type.
	ErrNoPostback = &bus.Error{Code: "webchat.no-postback", Text: "This transport doesn't support postback messages."}
	// ErrPostback: sendMessage with a postback that answers nothing, or with a type that is none. Nothing is sent.
	ErrPostback = &bus.Error{Code: "webchat.invalid-postback", Text: "Invalid postback provided."}
	// ErrFilters: no filter, or one that is no regular expression. Returned by addPrefilter and
	// sendFilteredMessage.
	ErrFilters = &bus.Error{Code: "webchat.invalid-filters", Text: "Missing or invalid filters provided. Please provide a regular expression or an array of regular expressions"}
	// ErrNoPreProcessor: registerPreProcessor without a function.
	ErrNoPreProcessor = &bus.Error{Code: "webchat.no-preprocessor", Text: "No preprocessor function provided. Type provided was 'undefined'."}
	// ErrNoInput: registerTypingPreviewInput without a function.
	ErrNoInput = &bus.Error{Code: "webchat.no-input", Text: "Invalid value provided for the 'input' property. An HTML element reference to a textarea or text input is required."}
	// ErrNoInteractionData: updateInteractionData during a session.
	ErrNoInteractionData = &bus.Error{Code: "webchat.no-interaction-data", Text: "This transport doesn't support updating interactionData during an active chat session."}
	// ErrNotAsync: fetchHistory of a session that is not long-lived.
	ErrNotAsync = &bus.Error{Code: "webchat.not-async", Text: "Fetching messages history applies to only Asynchronous chat."}
	// ErrNoHistory: fetchHistory where there is nothing older.
	ErrNoHistory = &bus.Error{Code: "webchat.no-history", Text: "No more messages to fetch"}
	// ErrNoUpload: sendFile on a wire without files.
	ErrNoUpload = &bus.Error{Code: "webchat.no-upload", Text: "This transport doesn't support file uploads."}
	// ErrNoDownload: downloadFile on a wire without files.
	ErrNoDownload = &bus.Error{Code: "webchat.no-download", Text: "This transport doesn't support file download."}
	// ErrNoLimits: getFileLimits on a wire without files.
	ErrNoLimits = &bus.Error{Code: "webchat.no-file-limits", Text: "This transport doesn't support getFileLimits command."}
	// ErrFile: the file cannot be read or written here. Returned by sendFile and downloadFile.
	ErrFile = &bus.Error{Code: "webchat.file", Text: "file cannot be used"}
	// ErrFileRefused: the server does not take the file. Returned by sendFile.
	ErrFileRefused = &bus.Error{Code: "webchat.file-refused", Text: "file was refused"}
	// ErrUnknownID: what was to be removed, sent again or discarded is not there. Returned by removePrefilter,
	// removePreProcessor, resend and discard.
	ErrUnknownID = &bus.Error{Code: "webchat.unknown-id", Text: "there is nothing of that id"}
	// ErrStore: the store failed. Returned by restore and verifySession.
	ErrStore = &bus.Error{Code: "webchat.store", Text: "store of sessions failed"}
)

// failure returns a copy of a sentinel for one occasion. A hint of the wire's own wins over hint where
// hint is empty.
func failure(sentinel *bus.Error, op string, err error, hint string) *bus.Error {
	e := *sentinel
	if op != "" {
		e.Op = Namespace + "." + op
	}
	e.Err = err
	e.Hint = hint
	if hint == "" {
		e.Hint = hintFor(err)
	}
	return &e
}

// hintFor says what to do about a failure of the wire. It is empty when the wire's own error says so already, in the
// words of the options that it has, or when there is nothing to say.
func hintFor(err error) string {
	var ce *chat.Error
	if !errors.As(err, &ce) || ce.Hint != "" {
		return ""
	}
	switch ce.Code {
	case chat.CodeNetwork, chat.CodeTimeout:
		return "check that the server is up and can be reached, and that its address is right"
	case chat.CodeNotFound, chat.CodeBadAnswer, chat.CodeRedirect:
		return "check that the address is that of a chat service"
	case chat.CodeUnauthorized, chat.CodeForbidden:
		return "check the credentials"
	case chat.CodeUnavailable, chat.CodeTooMany:
		return "try again later"
	}
	return ""
}

// wireError finds the wire's own error in err.
func wireError(err error) *chat.Error {
	var ce *chat.Error
	if errors.As(err, &ce) {
		return ce
	}
	return &chat.Error{Code: chat.CodeNetwork, Text: err.Error(), Err: err}
}
