package chat_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// An error of a driver says whether the server may have what was sent. Of any other error nobody can tell.
func ExampleOutcomeOf() {
	err := fmt.Errorf("say hello: %w", &chat.Error{Op: "send", Code: chat.CodeTimeout, Text: "no answer", Outcome: chat.Unknown})
	fmt.Println(err)
	fmt.Println(chat.OutcomeOf(err), chat.OutcomeOf(errors.New("anything else")))
	// Output:
	// say hello: chat: send: no answer
	// unknown unknown
}

// Secrets do not print, in whatever way; they are given away on demand alone.
func ExampleSecret() {
	session := chat.Session{ID: "4711", SecureKey: chat.NewSecret("3f9c")}
	text, err := json.Marshal(session.SecureKey)
	fmt.Printf("%v %+q %s %v\n", session.SecureKey, session.SecureKey, text, err)
	fmt.Println(session.SecureKey.Reveal())
	// Output:
	// [secret] [secret] "[secret]" <nil>
	// 3f9c
}
