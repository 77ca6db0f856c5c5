package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		w := newWatch(&said)
		out := w.writer(&said)
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if said.String() != want {
				t.Errorf("the watch said %q, want %q", said.String(), want)
			}
			said.Reset()
		}

		time.Sleep(9 * time.Second)
		expect("")
		time.Sleep(time.Second)
		expect("suite: 10s so far; compiling tests\n")

		w.see(event{Action: "start", Package: "a"})
		w.see(event{Action: "run", Package: "a", Test: "TestOne"})
		w.see(event{Action: "run", Package: "a", Test: "TestOne/part"})
		time.Sleep(time.Second)
		w.see(event{Action: "start", Package: "ab"})
		time.Sleep(9 * time.Second)
		expect("suite: 20s so far; running a TestOne/part (10s), ab (9s)\n")

		// Whoever prints is not silent.
		time.Sleep(9 * time.Second)
		if _, err := out.Write([]byte("ok\n")); err != nil {
			t.Error(err)
		}
		time.Sleep(9 * time.Second)
		expect("ok\n")

		w.see(event{Action: "pass", Package: "a", Test: "TestOne/part"})
		w.see(event{Action: "pause", Package: "a", Test: "TestOne"})
		for _, p := range []string{"c", "d", "e"} {
			w.see(event{Action: "start", Package: p})
		}
		time.Sleep(time.Second)
		expect("suite: 39s so far; running a (29s), ab (28s), c (1s) and 2 more\n")
		w.close()
	})
}
