package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The colours (ECMA-48, SGR).
const (
	dim     = "2"
	bold    = "1"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// painter puts text into colours, if it may.
type painter bool

func (p painter) paint(colour, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// summaryWidth is how much of a payload one line of a trace shows.
const summaryWidth = 100

// textTrace returns a function that writes entries to w for people: seconds since start, kind, name,
// and what matters of the data. The answers to single requests are left out, as they tell nothing that
// the events they lead to do not.
func textTrace(w io.Writer, p painter, start time.Time) func(entry) error {
	colour := map[kind]string{kindPlugin: magenta, kindCommand: cyan, kindResult: green, kindEvent: yellow, kindNote: bold}
	return func(e entry) error {
		if e.Name == webchatservice.AjaxResponse.Name() {
			return nil
		}
		c, text := colour[e.Kind], summary(e)
		if e.Error != nil {
			c, text = red, oneLine(e.Error)
		}
		line := fmt.Sprintf("%s  %s  %s",
			p.paint(dim, fmt.Sprintf("%7.3f", e.Time.Sub(start).Seconds())),
			p.paint(c, fmt.Sprintf("%-7s", e.Kind)),
			p.paint(bold, clean(e.Name)))
		if text != "" {
			line += "  " + text
		}
		if e.Kind == kindCommand {
			line += p.paint(dim, "  by "+e.By)
		}
		if e.Kind == kindNote {
			line = "\n" + line
		}
		_, err := fmt.Fprintln(w, line)
		return err
	}
}

// summary returns what one line of a trace shows of an entry's data.
func summary(e entry) string {
	switch d := e.Data.(type) {
	case noteData:
		return d.Text
	case pluginData:
		return d.State
	case webchatservice.MessageReceivedData:
		var lines []string
		for _, m := range d.Messages {
			lines = append(lines, line(m))
		}
		return strings.Join(lines, " | ")
	case webchatservice.ParticipantData:
		return party(d.Message.From)
	case webchatservice.Message:
		return party(d.From)
	case webchatservice.SessionInfo:
		return "session " + clean(d.SessionID)
	case webchatservice.EndedData:
		if d.ServerTold {
			return "by " + string(d.Reason)
		}
		return "by " + string(d.Reason) + ", the server does not know"
	case webchatservice.MessageStateData:
		return clean(d.MessageID) + " " + string(d.State)
	case webchatservice.SendMessageIn:
		return quote(d.Message)
	case webchatservice.SendMessageOut:
		return clean(d.MessageID)
	case webchatservice.SendFileIn:
		return fmt.Sprintf("%s, %s", clean(d.Files.Name), plural(len(d.Files.Data), "byte"))
	case webchatservice.DownloadFileOut:
		return fmt.Sprintf("%s, %s", clean(d.Name), plural(int(d.Size), "byte"))
	case webchatservice.DisconnectedData:
		return clean(d.Error.Text)
	case webchatservice.Answer, webchatservice.UpdateUserDataOut, webchatservice.SendFileOut:
		return "ok"
	case webchatservice.Transcript:
		return plural(len(d.Messages), "line")
	}
	b, err := json.Marshal(e.Data)
	if err != nil || string(b) == "{}" || string(b) == "null" {
		return ""
	}
	return shorten(string(cleanJSON(b)))
}

// line returns what a line of the transcript says.
func line(m webchatservice.Message) string {
	switch m.Type {
	case chat.KindMessage:
		return clean(m.From.Name) + ": " + quote(m.Text)
	case chat.KindParticipantJoined:
		return party(m.From) + " joined"
	case chat.KindParticipantLeft:
		return party(m.From) + " left"
	case chat.KindTypingStarted:
		return clean(m.From.Name) + " types"
	case chat.KindTypingStopped:
		return clean(m.From.Name) + " ceased to type"
	}
	return clean(happening(m))
}

// happening says in words what a line tells that nobody said.
func happening(m webchatservice.Message) string {
	who := m.From.Name
	if who == "" {
		who = "the chat service"
	}
	with := func(text string) string {
		if m.Text == "" {
			return text
		}
		return text + ": " + m.Text
	}
	switch m.Type {
	case chat.KindPushURL:
		return with(who + " sent a link")
	case chat.KindNicknameUpdated:
		return who + " is now called " + m.Text
	case chat.KindFileUploaded:
		return fmt.Sprintf("%s sent the file %v", who, m.UserData["file-name"])
	case chat.KindFileDeleted:
		return fmt.Sprintf("%s took back the file %v", who, m.UserData["file-name"])
	case chat.KindNotice:
		return with("notice by " + who)
	case chat.KindCustomNotice:
		return with("notice for programs by " + who)
	case chat.KindIdleAlert:
		return with("nobody has written for a while")
	case chat.KindIdleClose:
		return with("nobody has written for too long")
	}
	return with(fmt.Sprintf("%s by %s", m.Type, who)) // of a kind that is not known here
}

func party(f webchatservice.From) string {
	return fmt.Sprintf("%s (%s)", clean(f.Name), strings.ToLower(clean(string(f.Type))))
}

func quote(text string) string { return "\u201c" + shorten(clean(text)) + "\u201d" }

// shorten cuts text to summaryWidth characters.
func shorten(text string) string {
	if utf8.RuneCountInString(text) <= summaryWidth {
		return text
	}
	return string([]rune(text)[:summaryWidth-1]) + "…"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func namespaceOf(name string) string {
	namespace, _, _ := strings.Cut(name, ".")
	return namespace
}

// printTranscript writes the lines of a chat for people, typing left out.
func printTranscript(w io.Writer, p painter, t webchatservice.Transcript) error {
	var b strings.Builder
	fmt.Fprintln(&b, p.paint(bold, "Transcript"))
	said := 0
	for _, m := range t.Messages {
		if m.Type == chat.KindTypingStarted || m.Type == chat.KindTypingStopped {
			continue
		}
		said++
		at := p.paint(dim, time.UnixMilli(m.Timestamp).Format("15:04:05"))
		if m.Type != chat.KindMessage {
			fmt.Fprintf(&b, "  %s  %s\n", at, p.paint(dim, "* "+line(m)))
			continue
		}
		for i, text := range cleanLines(m.Text) {
			if i > 0 {
				at = strings.Repeat(" ", len("15:04:05"))
			}
			fmt.Fprintf(&b, "  %s  %s %s\n", at, p.paint(nameColour(m.From), clean(m.From.Name)+":"), text)
		}
	}
	if said == 0 {
		fmt.Fprintln(&b, "  nothing was said")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func nameColour(f webchatservice.From) string {
	if f.Type == chat.RoleClient {
		return cyan
	}
	return yellow
}

// printFigures writes a report of the Statistics plugin for people.
func printFigures(w io.Writer, p painter, f Figures) error {
	var b strings.Builder
	fmt.Fprintln(&b, p.paint(bold, "Statistics"))
	var agents []string
	for _, a := range f.Agents {
		agents = append(agents, clean(a))
	}
	fmt.Fprintf(&b, "  %s ended; agents: %s\n", plural(f.Chats, "chat"), strings.Join(agents, ", "))
	for _, s := range f.Speakers {
		fmt.Fprintf(&b, "  %s (%s) said %s, %s\n", clean(s.Name), strings.ToLower(clean(s.Role)),
			plural(s.Lines, "line"), plural(s.Characters, "character"))
	}
	fmt.Fprintf(&b, "  first agent after %d ms; %s, the slowest after %d ms\n", f.FirstJoinMs, plural(f.Answers, "answer"), f.SlowestMs)
	_, err := io.WriteString(w, b.String())
	return err
}
