package main

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	lines := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	tests := []struct {
		name, in, want string
		leaks          []string
	}{
		{
			"a package that passes shows its closing line only",
			lines(
				`{"Action":"start","Package":"p"}`,
				`{"Action":"output","Package":"p","Output":"-test.shuffle 1\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: hello\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"PASS\n"}`,
				`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
				`{"Action":"pass","Package":"p"}`,
			),
			"ok  \tp\t0.1s\n", nil,
		},
		{
			"a test that fails shows what it wrote",
			lines(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: hello\n"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\n"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
				`{"Action":"fail","Package":"p"}`,
			),
			"    a_test.go:1: hello\n--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tp\t0.1s\n", nil,
		},
		{
			"a test that took the process down is shown",
			lines(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no\n"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
				`{"Action":"fail","Package":"p"}`,
			),
			"panic: no\nFAIL\tp\t0.1s\n", nil,
		},
		{
			"a compiler's message is shown",
			lines(
				`{"ImportPath":"p","Action":"build-output","Output":"a.go:1: broken\n"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`,
				`{"Action":"fail","Package":"p"}`,
			),
			"a.go:1: broken\nFAIL\tp [build failed]\n", nil,
		},
		{
			"a canary is found in a test that passes, also in two pieces",
			lines(
				`{"Action":"output","Package":"p","Test":"TestA","Output":"key CANARY-1\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"key CAN"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"ARY-1\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestB"}`,
				`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
				`{"Action":"pass","Package":"p"}`,
			),
			"ok  \tp\t0.1s\n", []string{"p TestA", "p TestB"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			leaks, err := show(strings.NewReader(tt.in), &out, func(event) {})
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("show prints %q, want %q", out.String(), tt.want)
			}
			if strings.Join(leaks, ",") != strings.Join(tt.leaks, ",") {
				t.Errorf("show finds %q, want %q", leaks, tt.leaks)
			}
		})
	}
}
