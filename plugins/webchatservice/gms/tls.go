package gms

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

// tlsRefusal says in words why there is no TLS connection, and what to do about it. ok is false for other errors. option
// is the one that holds the server's address.
func tlsRefusal(err error, option string) (text, hint string, ok bool) {
	var cert *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		text, hint = host.Error(), "check "+option+", or set webchat.network.serverName"
	case errors.As(err, &authority):
		text, hint = authority.Error(), "name a file with its authority in webchat.network.caFile"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text, hint = invalid.Error(), "have the certificate renewed, or set the clock of this machine"
	case errors.As(err, &cert):
		text, hint = cert.Err.Error(), "check the certificate of the server that "+option+" names"
	case strings.Contains(err.Error(), "tls: ") && strings.Contains(err.Error(), "protocol version"):
		return "the server does not speak TLS 1.2 or newer: " + err.Error(), "have it speak TLS 1.2, or check " + option, true
	default:
		return "", "", false
	}
	return "the server's certificate is refused: " + text, hint, true
}
