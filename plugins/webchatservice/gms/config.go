package gms

import (
	"time"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// Config has the options that all wires to a GMS share (webchatservice 2.1). The zero value of each field means the
// default.
type Config struct {
	// APIKey goes with every request as header apikey.
	APIKey chat.Secret `json:"apikey" accept:"number" type:"string or number" doc:"sent as header apikey"`
	// Endpoint goes with the start request.
	Endpoint string `json:"endpoint" doc:"sent with the start request"`
	// WithCredentials keeps the server's cookies and sends them back.
	WithCredentials bool `json:"withCredentials" group:"xhrFields" doc:"keep the server's cookies and send them back"`
	// AjaxTimeout limits each request from its first step to the last byte of the answer. 0 means 3 s, negative no
	// limit.
	AjaxTimeout time.Duration `json:"ajaxTimeout" unit:"ms" min:"1" max:"600000" default:"3000" doc:"limit of every request"`
	// FileUploadTimeout limits requests that carry files, in either direction. 0 or negative: no limit but that of
	// [chat.Filer], for transfers in which nothing moves.
	FileUploadTimeout time.Duration `json:"fileUploadTimeout" unit:"ms" min:"0" doc:"limit of requests that carry files; 0: none"`
	// MarkLines sends [chat.Action.ClientID] with each line, in eventAttributes, for servers that give it back. It is an
	// option since a server may refuse, or show to agents, what it does not know. Lines that carry the mark are
	// recognised either way.
	MarkLines bool `json:"markLines" doc:"send an id with each message, in eventAttributes, that tells it in the transcript; for servers and agents' desktops that let it pass"`
	// MaxAnswer limits the length of an answer, in bytes, after decompression. 0 means 8 MiB. Configurations do not
	// have it.
	MaxAnswer int64 `json:"-"`
}
