package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
)

// faultOptions say how a simulator misbehaves.
type faultOptions struct {
	every time.Duration // between faults; 0 for none
	seed  uint64        // of faults, ids and keys; 0 for others in each run
}

// faultFlags gives a command that runs a simulator the choice of its faults.
func faultFlags(flags *pflag.FlagSet, o *faultOptions) {
	flags.DurationVar(&o.every, "faults", 0, "let a request go wrong at random, on each wire about once in this `TIME`")
	flags.Uint64Var(&o.seed, "seed", 0, "draw the same faults, ids and keys in each run with this `NUMBER`; 0 draws others")
}

func (o *faultOptions) check() error {
	if o.every < 0 || o.every > 0 && o.every < 10*time.Millisecond {
		return &usageError{fmt.Errorf("--faults %v is out of range; want 10ms or more, or 0 for none", o.every)}
	}
	return nil
}

// spoil makes requests go wrong, until the function returned is called.
func spoil(sim *chatsim.Server, o faultOptions) (stop func()) {
	if o.every == 0 {
		return func() {}
	}
	seed := cmp.Or(o.seed, rand.Uint64())
	random := rand.New(rand.NewPCG(seed, seed))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			wait := time.NewTimer(o.every/2 + time.Duration(random.Int64N(int64(o.every))))
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return
			}
			sim.Faults().Clear() // those that met nothing
			for _, f := range sim.Faces() {
				sim.Faults().Add(f.RandomFault(random))
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		sim.Faults().Clear()
	}
}
