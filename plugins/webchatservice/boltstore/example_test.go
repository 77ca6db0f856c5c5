package boltstore_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/boltstore"
)

// A file for the sessions of a program. The bus closes it when its plugins have stopped: bus.Options.Closers.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := boltstore.Open(filepath.Join(dir, "sessions.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	service := webchatservice.New(&webchatservice.Options{Store: store, SessionKey: "visitor 7"})
	fmt.Println(service.Namespace(), store.Close())
	// Output: WebChatService <nil>
}
