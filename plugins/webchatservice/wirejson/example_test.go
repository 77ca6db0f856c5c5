package wirejson_test

import (
	"fmt"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/wirejson"
)

// An answer of a server: found valid, looked at where it is of interest, and shown without its secret.
func Example() {
	answer, err := wirejson.Value([]byte(`{"chatId": 12345678901234567890, "secureKey": "9f31c07a55e2", "user": "{\"name\":\"Ada\"}"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(wirejson.Scalar(wirejson.Dig(answer, "chatId")), wirejson.Scalar(wirejson.Dig(answer, "user", "name")))
	key := chat.NewSecret(wirejson.Scalar(wirejson.Dig(answer, "secureKey")))
	fmt.Println(string(wirejson.NewHider(key).JSON(answer)))
	// Output:
	// 12345678901234567890 Ada
	// {"chatId": 12345678901234567890, "secureKey": "[secret]", "user": "{\"name\":\"Ada\"}"}
}
