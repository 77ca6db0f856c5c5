package chattest_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/chattest"
)

// A chat in memory: what a test of something above drivers looks like.
func ExampleNewMemory() {
	ctx := context.Background()
	server := chattest.NewMemory(nil)
	conn, err := server.Driver().Open(ctx, chat.Request{Nickname: "Ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	id := conn.Session().ID
	server.AgentJoin(id, "Ann")
	server.AgentSay(id, "Ann", "Hello, how can I help?")
	if _, err := conn.Send(ctx, chat.Action{Text: "Just trying"}); err != nil {
		fmt.Println(err)
	}
	server.EndChat(id)
	for {
		ev, err := conn.Receive(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, m := range ev.Messages {
			fmt.Printf("%d %s %s: %s %q\n", m.Index, m.From.Role, m.From.Name, m.Kind, m.Text)
		}
	}
	// Output:
	// 1 Client Ada: ParticipantJoined ""
	// 2 Agent Ann: ParticipantJoined ""
	// 3 Agent Ann: Message "Hello, how can I help?"
	// 4 Client Ada: Message "Just trying"
}
