package webchatservice

import "github.com/cxbus/cxbus/bus"

// Rejections returns what each command can reject with, by its short name (startChat), beside the errors of the
// bus itself: [errors.Is] finds one of these. Commands that are not in the map never reject. The map is the
// caller's.
func Rejections() map[string][]*bus.Error {
	list := func(errs ...*bus.Error) []*bus.Error { return errs }
	sending := func(first ...*bus.Error) []*bus.Error {
		return append(first, ErrTooLong, ErrOutboxFull, ErrNotSent, ErrSendUnknown, ErrWithdrawn)
	}
	restoring := func() []*bus.Error {
		return list(ErrRestoring, ErrAlreadyActive, ErrNothingStored, ErrSessionOver, ErrSessionMoved, ErrRestoreFailed,
			ErrNoRestore, ErrStartEnded, ErrStore, ErrInvalidConfig, ErrInvalidTransport)
	}
	return map[string][]*bus.Error{
		"configure":                  list(ErrInvalidConfig, ErrInvalidTransport),
		"startChat":                  list(ErrSessionActive, ErrUserData, ErrOtherTransport, ErrStartFailed, ErrStartUnknown, ErrStartEnded, ErrInvalidConfig, ErrInvalidTransport),
		"endChat":                    list(ErrNoSession, ErrServerNotTold),
		"sendMessage":                sending(ErrNoSession, ErrNoText, ErrPostback, ErrNoPostback),
		"sendFilteredMessage":        sending(ErrNoSession, ErrNoText, ErrFilters),
		"resend":                     sending(ErrNoSession, ErrUnknownID),
		"discard":                    list(ErrUnknownID),
		"sendCustomNotice":           list(ErrNoSession, ErrNoNotice, ErrRequest),
		"sendTyping":                 list(ErrNoSession, ErrNoTyping, ErrInterrupted, ErrRequest),
		"updateUserData":             list(ErrNoSession, ErrNoUserData, ErrRequest),
		"updateInteractionData":      list(ErrNoInteractionData),
		"addPrefilter":               list(ErrFilters),
		"removePrefilter":            list(ErrUnknownID),
		"registerPreProcessor":       list(ErrNoPreProcessor, ErrGoOnly),
		"removePreProcessor":         list(ErrUnknownID),
		"registerTypingPreviewInput": list(ErrNoInput, ErrGoOnly),
		"poll":                       list(ErrPrivate, ErrNoSession, ErrNoPolling, ErrPollPending, ErrRequest),
		"startPoll":                  list(ErrNoSession, ErrNoPolling),
		"stopPoll":                   list(ErrNoSession, ErrNoPolling, ErrNotPolling),
		"pausePoll":                  list(ErrNoSession, ErrNoPolling),
		"restore":                    restoring(),
		"asyncRestore":               restoring(),
		"verifySession":              list(ErrStore),
		"fetchHistory":               list(ErrNoSession, ErrNotAsync, ErrNoHistory, ErrRequest),
		"sendFile":                   list(ErrNoSession, ErrNoUpload, ErrFile, ErrFileRefused, ErrRequest),
		"downloadFile":               list(ErrNoSession, ErrNoDownload, ErrFile, ErrRequest),
		"getFileLimits":              list(ErrNoSession, ErrNoLimits, ErrRequest),
	}
}
