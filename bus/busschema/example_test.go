package busschema_test

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/cxbus/cxbus/bus/busschema"
)

// The schema of a command's input. known is for types that write their own JSON; there are none here.
func ExampleFor() {
	type In struct {
		Name string `json:"name" doc:"whom to greet"`
		Loud bool   `json:"loud,omitempty"`
	}
	schema, err := busschema.For(reflect.TypeFor[In](), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	fmt.Println(string(text), err)
	// Output:
	// {
	//   "type": "object",
	//   "properties": {
	//     "name": {
	//       "type": "string",
	//       "description": "whom to greet"
	//     },
	//     "loud": {
	//       "type": "boolean"
	//     }
	//   },
	//   "required": [
	//     "name"
	//   ],
	//   "additionalProperties": false
	// } <nil>
}
