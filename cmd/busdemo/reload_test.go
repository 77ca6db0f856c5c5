package main

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// SIGHUP reads the configuration again; what has changed reaches the plugin through its configure.
func TestReload(t *testing.T) {
	t.Setenv("CXBUS_WEBCHAT_MAXMESSAGELENGTH", "400")
	synctest.Test(t, func(t *testing.T) {
		got := trial{
			hangUp: "WebChatService.agentConnected",
			change: func() { t.Setenv("CXBUS_WEBCHAT_MAXMESSAGELENGTH", "300") },
		}.run(t)
		assert.Equal(t, exitOK, got.status)
		assert.Equal(t, "busdemo: the configuration was read again, and counts from the next chat on\n", got.stderr)
		assertOrder(t, got.stdout, "WebChatService.agentConnected", "Config.reloaded", "WebChatService.ended")
		assert.Contains(t, got.stdout, `{"changed":["webchat"]}`)
	})
}

// A configuration with a mistake is refused, told in one line, and the chat goes on.
func TestReloadRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := trial{
			hangUp: "WebChatService.agentConnected",
			change: func() { t.Setenv("CXBUS_WEBCHAT_POLLRATEMAX", "999999") },
		}.run(t, "--say", "hello")
		assert.Equal(t, exitOK, got.status)
		assert.Contains(t, got.stderr, "busdemo: Config.reload: the fresh configuration was refused, the old one stays in force")
		assert.Contains(t, got.stderr, "webchat.pollRateMax")
		assertOrder(t, got.stdout, "Config.refused", "WebChatService.ended")
	})
}
