package chat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func TestErrorIsOneLine(t *testing.T) {
	cause := errors.New("connection refused")
	e := &chat.Error{
		Outcome: chat.NotSent, Code: chat.CodeNetwork, Op: "open",
		Text: "no connection to the server", Hint: "check webchat.dataURL", Err: cause,
	}
	assert.Equal(t, "chat: open: no connection to the server; check webchat.dataURL", e.Error())
	require.ErrorIs(t, e, cause)
	assert.Equal(t, "chat: network", (&chat.Error{Code: chat.CodeNetwork}).Error())
}

func TestErrorMatchesSentinels(t *testing.T) {
	gone := fmt.Errorf("wrapped: %w", &chat.Error{Outcome: chat.Gone, Code: chat.CodeEnded})
	closed := fmt.Errorf("wrapped: %w", &chat.Error{Outcome: chat.Unknown, Code: chat.CodeClosed})
	require.ErrorIs(t, gone, chat.ErrEnded)
	require.NotErrorIs(t, gone, chat.ErrClosed)
	require.ErrorIs(t, closed, chat.ErrClosed)
	require.NotErrorIs(t, closed, chat.ErrEnded)
	assert.Equal(t, chat.Gone, chat.OutcomeOf(gone))
	assert.Equal(t, chat.Unknown, chat.OutcomeOf(errors.New("foreign")), "the careful answer")
	assert.Equal(t, chat.Unknown, chat.OutcomeOf(nil))
}

// Only what the server surely did not accept may be repeated.
func TestErrorRetryable(t *testing.T) {
	for _, c := range []struct {
		outcome chat.Outcome
		code    string
		want    bool
	}{
		{chat.NotSent, chat.CodeNetwork, true},
		{chat.NotSent, chat.CodeTimeout, true},
		{chat.NotSent, chat.CodeBusy, true},
		{chat.NotSent, chat.CodeUnavailable, true},
		{chat.NotSent, chat.CodeTooMany, true},
		{chat.NotSent, chat.CodeCanceled, false},
		{chat.NotSent, chat.CodeClosed, false},
		{chat.NotSent, chat.CodeInvalid, false},
		{chat.Unknown, chat.CodeNetwork, false},
		{chat.Unknown, chat.CodeUnavailable, false},
		{chat.Rejected, chat.CodeUnavailable, true},
		{chat.Rejected, chat.CodeTooMany, true},
		{chat.Rejected, chat.CodeRefused, false},
		{chat.Rejected, chat.CodeUnauthorized, false},
		{chat.Gone, chat.CodeEnded, false},
	} {
		assert.Equal(t, c.want, (&chat.Error{Outcome: c.outcome, Code: c.code}).Retryable(), "%v, %s", c.outcome, c.code)
	}
}

func TestOutcomeNames(t *testing.T) {
	for o, want := range map[chat.Outcome]string{
		chat.Unknown: "unknown", chat.NotSent: "not sent", chat.Rejected: "rejected", chat.Gone: "gone", 77: "unknown",
	} {
		assert.Equal(t, want, o.String())
	}
	assert.Equal(t, chat.Unknown, chat.Outcome(0))
}
