package cometdsim

// Quirks switch on what some servers do, or some sources say, and others do
// not. The zero value of each is the better attested behaviour. The numbers in
// brackets are the points of wire-gms "Uncertain".
type Quirks struct {
	// NoCometD leaves Bayeux switched off, as servers come
	// (enable_notification_mode); else it is on.
	NoCometD bool
	// NoWebsocket leaves long-polling as the only carrier.
	NoWebsocket bool
	// NoBrowserCookie asks for no BAYEUX_BROWSER cookie.
	NoBrowserCookie bool
	// NoAffinity spreads the requests of a client over the nodes, cookie or
	// not.
	NoAffinity bool
	// NoAcks refuses the acknowledge extension.
	NoAcks bool
	// MetaConnectDeliverOnly delivers with connect replies alone.
	MetaConnectDeliverOnly bool
	// DeliverFirst sends what an operation causes before the reply to its
	// publish; else after it [4].
	DeliverFirst bool
	// SilentSuccess leaves out the delivery that answers an operation which
	// made no event.
	SilentSuccess bool
	// NewestOnly pushes a chat's events to the Bayeux session that asked for
	// them last; else to every one that did.
	NewestOnly bool
	// StrictHandshake refuses a handshake without version or without a
	// connection type that the server has.
	StrictHandshake bool
}
