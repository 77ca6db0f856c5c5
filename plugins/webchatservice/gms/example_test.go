package gms_test

import (
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

// What a GMS says, in the model of package chat.
func ExampleParse() {
	a, err := gms.Parse([]byte(`{"statusCode": 0, "chatEnded": false, "nextPosition": "3", "messages": [
		{"from": {"nickname": "Ann", "participantId": 2, "type": "Agent"}, "index": 2, "text": "Hello", "type": "Message", "utcTime": 1}
	]}`), true)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range a.Messages {
		fmt.Println(m.Index, m.Kind, m.From.Role, m.From.Name, m.Text, m.Raw)
	}
	fmt.Println(a.StatusCode, a.Next, a.Ended)
	// Output:
	// 2 Message Agent Ann Hello {"from": {"nickname": "Ann", "participantId": 2, "type": "Agent"}, "index": 2, "text": "Hello", "type": "Message", "utcTime": 1}
	// 0 3 false
}
