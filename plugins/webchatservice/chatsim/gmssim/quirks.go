package gmssim

import "github.com/cxbus/cxbus/plugins/webchatservice/chatsim"

// Quirks switch on what some servers do, or some sources say, and others do
// not. The zero value of each is the better attested behaviour. The numbers in
// brackets are the points of wire-gms "Uncertain".
type Quirks struct {
	// UnknownChat404 answers an operation on an unknown chat with HTTP 404
	// and no JSON; else HTTP 200, statusCode 2, chatEnded true [11].
	UnknownChat404 bool
	// EndedChat400 answers an operation on an ended chat with HTTP 400; else
	// HTTP 200 with chatEnded true: statusCode 0 and the last events for a
	// refresh, statusCode 2 for everything else [11].
	EndedChat400 bool
	// BadKeyEnds puts the visitor out at the first wrong secureKey, as code
	// 8210 says in server logs; else such a request is refused, that is all.
	BadKeyEnds bool
	// RequireAllKeys wants userId and alias with each operation, as servers
	// before 8.5.112 did.
	RequireAllKeys bool
	// ShortKey makes secure keys of 16 hexadecimal digits [20].
	ShortKey bool

	// SendReturnsAll lets an operation other than refresh that names no
	// position return the whole transcript; else it returns no events [16].
	SendReturnsAll bool
	// MinusOneIsAll answers position -1 with the whole transcript; else with
	// the last event [10].
	MinusOneIsAll bool
	// TypingNotKept leaves typing events out of reads from the beginning [7].
	TypingNotKept bool
	// TypingUnnumbered gives typing events no index. They come once, with
	// the next answer that carries events [7].
	TypingUnnumbered bool
	// OwnTypingHidden keeps the visitor's typing events from him [7].
	OwnTypingHidden bool
	// HiddenTakeIndex lets whispers and hidden participants use up positions,
	// so that the visitor's transcript has holes that were never lines.
	HiddenTakeIndex bool
	// AttributesNotEchoed leaves the visitor's eventAttributes out of the
	// events that answers carry. The transcript in [chatsim.Snapshot] has them.
	AttributesNotEchoed bool
	// PartyIDString sends from.participantId as a numeric string.
	PartyIDString bool

	// BareErrors leaves statusCode and chatEnded out of HTTP 400 bodies [2].
	BareErrors bool
	// ErrorCodeString sends errors[].code as a numeric string [2].
	ErrorCodeString bool
	// Terse leaves alias, userId, secureKey and nextPosition, and an empty
	// messages list, out of the answers to operations after start.
	Terse bool
	// OmitChatEnded leaves chatEnded out while it is false, as some older
	// servers do.
	OmitChatEnded bool
	// NextPositionZero sends nextPosition 0 once the chat has ended [17].
	NextPositionZero bool
	// BareDownload sends files without their type and name [15].
	BareDownload bool
	// DeleteFreesCount lets the deletion of a file give back its place in
	// the limits [9].
	DeleteFreesCount bool
}

// indexing is the rule by which events get their index.
func (q *Quirks) indexing(e chatsim.Event) chatsim.Indexing {
	switch {
	case e.Hidden && q.HiddenTakeIndex:
		return chatsim.Skipped
	case e.Hidden, q.OwnTypingHidden && e.Typing() && e.From.Type == chatsim.Client:
		return chatsim.Withheld
	case e.Typing() && q.TypingUnnumbered:
		return chatsim.Unnumbered
	}
	return chatsim.Numbered
}
