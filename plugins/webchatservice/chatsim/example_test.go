package chatsim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// A client under test gets the address and the HTTP client of a simulator. The
// test plays the agent, then looks at what the server knows.
func Example() {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()

	// The client under test starts a chat.
	resp, err := sim.Client().PostForm(gmssim.URL(sim), url.Values{"nickname": {"Ada"}, "userData[plan]": {"gold"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var keys struct{ ChatID, SecureKey string }
	_ = json.NewDecoder(resp.Body).Decode(&keys)

	// The test answers.
	c, _ := sim.Desk().Next(context.Background())
	ann, _ := c.Join("Ann", chatsim.RoleAgent)
	_, _ = ann.Say("Hello")
	_ = ann.End()

	s := c.Snapshot()
	fmt.Println(s.Visitor.Nickname, s.UserData["plan"], s.Reason)
	for _, e := range s.Events {
		fmt.Printf("%d %s by %s %q\n", e.Index, e.Type, e.From.Nickname, e.Text)
	}
	// Output:
	// Ada gold agent
	// 1 ParticipantJoined by Ada ""
	// 2 ParticipantJoined by Ann ""
	// 3 Message by Ann "Hello"
	// 4 ParticipantLeft by Ann ""
	// 5 ParticipantLeft by Ada ""
}

// The third request and no other is carried out, but its answer is lost.
func ExampleFaults_Add() {
	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
	defer sim.Close()
	sim.Faults().Add(chatsim.Fault{Skip: 2, Drop: chatsim.DropAfter})
	for range 4 {
		resp, err := sim.Client().PostForm(gmssim.URL(sim), url.Values{"nickname": {"Ada"}})
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		fmt.Println(resp.StatusCode)
		resp.Body.Close()
	}
	fmt.Println(len(sim.Chats()), "chats")
	// Output:
	// 200
	// 200
	// no answer
	// 200
	// 4 chats
}

// On a real socket, for programs in other processes.
func ExampleServer_Handler() {
	sim := simulator.New(nil)
	defer sim.Close()
	front := httptest.NewServer(sim.Handler())
	defer front.Close()

	base := sim.BaseURLs(front.Listener.Addr().String())["gms"]
	resp, err := http.PostForm(base, url.Values{"nickname": {"Ada"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
