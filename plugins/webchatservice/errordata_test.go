package webchatservice_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/simulator"
)

// An address that leads to no chat service is told apart from a service that refuses.
func TestInvalidService(t *testing.T) {
	for name, tt := range map[string]struct {
		fault chatsim.Fault
		want  string
	}{
		"unknown service": {chatsim.Fault{Op: "start", Times: -1, Details: gmssim.Fault{Errors: []gmssim.Error{{Code: gmssim.CodeUnknownService}}}}, "InvalidService"},
		"not found":       {chatsim.Fault{Op: "start", Times: -1, Status: 404}, "InvalidService"},
		"refused":         {chatsim.Fault{Op: "start", Times: -1, Details: gmssim.Fault{Errors: []gmssim.Error{{Code: gmssim.CodeNoName}}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
				defer sim.Close()
				r := newRig(t, onSim(sim))
				defer r.stop()
				sim.Faults().Add(tt.fault)
				_, err := call(r, webchatservice.StartChat, webchatservice.StartChatIn{})
				assert.ErrorIs(t, err, webchatservice.ErrStartFailed)
				assert.Equal(t, tt.want, payload[webchatservice.ErrorData](t, r.take(), "error").ErrorReason)
			})
		})
	}
}
