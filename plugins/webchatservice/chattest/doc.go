// Package chattest proves drivers of package chat by a suite that every driver passes. For tests of what stands above
// drivers it has a driver in memory ([Memory]), which passes it too.
//
// A driver's own test says how to get a server for it and runs the suite:
//
//	func TestConformance(t *testing.T) {
//		chattest.Run(t, chattest.Harness{
//			New:      func(t *testing.T) chattest.Server { ... },
//			Features: chattest.Features{Confirms: true, Resumes: true},
//		})
//	}
//
// Each case runs in a testing/synctest bubble of its own, so it takes no time and a goroutine left
// behind fails it. What a wire cannot do is declared in [Features], and the suite then holds the
// driver to not pretending: nothing is skipped.
package chattest
