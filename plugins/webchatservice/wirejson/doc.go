// Package wirejson reads JSON that strangers wrote, without changing it. What it shows of it has no secrets.
//
// A text is looked at twice. [Value] or [Valid] finds out whether it is JSON in valid UTF-8: exactly what encoding/json
// and unicode/utf8 say together. The functions that scan ([EachMember], [EachElement], [Dig], [Scalar]) then trust that,
// and give out parts of the text itself: digits, escapes and unknown members stay as they were written. What they give
// out shares memory with the text. They are undefined for a text that is not valid.
//
// Reading is lenient where servers differ, and nowhere else: a number may be written as text and the reverse, and an
// object may be wrapped in a string.
//
// A [Hider] takes secrets out of a text, also where the JSON spells them with escapes.
//
// Nothing here blocks, keeps state between calls, or starts a goroutine. All functions may be called at once.
package wirejson
