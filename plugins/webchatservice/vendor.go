package webchatservice

import (
	"slices"
	"strings"
)

// vendorOptions returns the options of all transports that the vendor has (webchatservice 2.1 to 2.8) and that are a
// wire's business. A configuration may name them whether or not a driver at hand has them, so that the object of a page
// can be pasted: those without effect are named in the log.
func vendorOptions() []string {
	return []string{
		// 2.1, the default transport
		"dataURL", "serverURL", "enableUrlTrailingSlash", "apikey", "endpoint", "xhrFields.withCredentials", "ajaxTimeout",
		"fileUploadTimeout", "pollRate", "dynamicPolling", "pollRateMin", "pollRateMax", "pollIntervalIdle_ms",
		"pollRateMult", "pollRateSleep",
		// 2.2
		"cometD.cometURL", "cometD.channel", "cometD.apiURL", "cometD.websocketEnabled", "cometD.logLevel",
		// 2.5 pureengage-v3-rest
		"transport.dataURL", "transport.headers", "transport.endpoint", "transport.clientType", "transport.stream",
		"transport.pollTimeout", "transport.pollIntervalMultiplier", "transport.pollExceptionLimit",
		"transport.maxMessagePageSize", "transport.async.enabled",
		// 2.6 purecloud-v2-sockets
		"transport.deploymentKey", "transport.organizationId", "transport.orgGuid",
		"transport.socketHeartbeatTrackerInterval", "transport.socketConnectionCloseTime",
		"transport.socketReconnectInterval", "transport.pagination", "transport.botEventsEnabled",
		// 2.7 pureconnect-v4-rest
		"transport.hosts", "transport.useHttps", "transport.reverseProxyUrl",
		// 2.8 pureconnect-v4-chatbots
		"transport.additionalAttrs", "transport.environmentType", "transport.chatBotData", "transport.botCustomData",
		"transport.useCaaS", "transport.caasUrl",
		// seen in public configurations, without effect anywhere (2.6)
		"transport.markdown",
		// this project's own, of the wires to GMS
		"markLines",
	}
}

// isVendorOption reports whether an option is one of the vendor's wires'.
func isVendorOption(path string) bool { return slices.Contains(vendorOptions(), path) }

// isVendorGroup reports whether a path is a group with options of the vendor's wires.
func isVendorGroup(path string) bool {
	return slices.ContainsFunc(vendorOptions(), func(o string) bool { return strings.HasPrefix(o, path+".") })
}

// isVendorSecret reports whether the value of an option of the vendor's wires must not be shown.
func isVendorSecret(path string) bool {
	return path == "apikey" || path == "transport.headers"
}

// vendorTransports returns the values that transport.type has at the vendor (webchatservice 1), besides the empty one
// of GMS.
func vendorTransports() []string {
	return []string{"pureengage-v3-rest", "purecloud-v2-sockets", "pureconnect-v4-rest", "pureconnect-v4-chatbots"}
}
