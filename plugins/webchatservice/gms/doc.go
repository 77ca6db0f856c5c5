// Package gms is what the drivers for Genesys Mobile Services have in common. That is the model of what a GMS says,
// which is the same on each of its wires, and the HTTP requests to it. Programs need a driver, not this package.
//
// It refuses what is not valid JSON in valid UTF-8, and reads everything else leniently: numbers may be written as text
// and the reverse, a member of the wrong type counts as missing, unknown members and unknown kinds of lines stay in the
// raw line. What it returns shares no memory with what it read, and shows no key.
//
// Nothing here starts a goroutine, but for the content of an upload.
package gms
