package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/plugins/webchatservice"
	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// The lines that make the scripted agent hand over to a second one, send a file, and end the chat.
const (
	transferLine = "transfer"
	fileLine     = "file"
	byeLine      = "bye"
)

// What the visitor says of her own.
const (
	firstLine = "Hi, my parcel has not arrived yet."
	cutLine   = "Are you still there?"
	lastLine  = "Thank you, that helped."
)

// outage is how long the network is away.
const outage = 300 * time.Millisecond

// receipt is the file that the visitor sends.
const receipt = "Receipt 4711: one parcel, to be delivered yesterday.\n"

// acts returns what the demo plays unless --say tells otherwise.
func (c *conversation) acts() []act {
	return []act{c.line(firstLine), c.transfer, c.fetchFile, c.giveFile, c.loseNetwork, c.restart, c.line(lastLine)}
}

func (c *conversation) transfer(ctx context.Context) error {
	c.note("transfer", "The agent is asked to hand over to another one.")
	return c.say(ctx, transferLine)
}

// fetchFile asks the agent for a file and downloads it. Agents who send none, and wires without files, do not
// matter.
func (c *conversation) fetchFile(ctx context.Context) error {
	c.note("download", "The agent is asked for a file, and Vera downloads it.")
	place := c.stack.events.now()
	if err := c.say(ctx, fileLine); err != nil {
		return err
	}
	var id string
	_, came := c.wait(ctx, place, min(c.patience, optional), files(func(m webchatservice.Message) bool {
		id, _ = m.UserData["file-id"].(string)
		return m.From.Type != chat.RoleClient && id != ""
	}))
	if !came {
		return nil
	}
	_, err := call(ctx, c.trace, c.stack.client, webchatservice.DownloadFile, webchatservice.DownloadFileIn{FileID: id})
	return c.tolerate(ctx, err, webchatservice.ErrNoDownload)
}

func (c *conversation) giveFile(ctx context.Context) error {
	c.note("upload", "Vera sends a file.")
	place := c.stack.events.now()
	_, err := call(ctx, c.trace, c.stack.client, webchatservice.SendFile, webchatservice.SendFileIn{
		Files: webchatservice.FileIn{Name: "receipt.txt", Type: "text/plain", Data: []byte(receipt)},
	})
	if err != nil {
		return c.tolerate(ctx, err, webchatservice.ErrNoUpload, webchatservice.ErrFileRefused)
	}
	c.wait(ctx, place, min(c.patience, optional), files(func(m webchatservice.Message) bool { return m.From.Type == chat.RoleClient }))
	return nil
}

// tolerate returns nil for errors that the demo can go on after: those given, and all once it is over.
func (c *conversation) tolerate(ctx context.Context, err error, known ...error) error {
	if c.over(ctx) || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return nil
	}
	return err
}

// loseNetwork takes the network away, and gives it back while a line waits.
func (c *conversation) loseNetwork(ctx context.Context) error {
	c.note("network", "The network goes away. What Vera says waits, and is sent once the network is back.")
	place := c.stack.events.now()
	c.stack.cable.pull()
	defer c.stack.cable.plug()
	// A line that is under way while the network breaks may be of unknown fate, which is another story.
	_, lost := c.wait(ctx, place, min(c.patience, optional), isEvent(webchatservice.Disconnected.Name()))
	sent := make(chan error, 1)
	go func() {
		_, err := call(ctx, c.trace, c.stack.client, webchatservice.SendMessage, webchatservice.SendMessageIn{Message: cutLine})
		sent <- err
	}()
	hold := time.NewTimer(outage)
	defer hold.Stop()
	select {
	case <-hold.C:
	case <-ctx.Done():
	}
	c.stack.cable.plug()
	if err := <-sent; err != nil {
		return c.tolerate(ctx, err)
	}
	if lost {
		c.wait(ctx, place, c.patience, isEvent(webchatservice.Reconnected.Name()))
	}
	c.wait(ctx, place, c.patience, agentSays)
	return nil
}

// restart closes the bus in the middle of the chat, and takes the chat up again on another one. Once it has
// closed the bus it goes on to the end of that, also when ctx ends: the chat is to be ended by somebody.
func (c *conversation) restart(ctx context.Context) error {
	c.note("restart", "The program ends in the middle of the chat, and a new one restores it from the store.")
	ctx = context.WithoutCancel(ctx)
	next, err := c.program.succeed(ctx, c.stack)
	if err != nil {
		c.started = false // there is nobody to end it
		return err
	}
	c.stack = next
	if _, err := call(ctx, c.trace, next.client, webchatservice.Restore, webchatservice.RestoreIn{}); err != nil {
		return err
	}
	c.wait(ctx, 0, c.patience, isEvent(webchatservice.Restored.Name()))
	return nil
}

// files accepts events with a line about a new file that match accepts.
func files(match func(webchatservice.Message) bool) func(bus.Event[any]) bool {
	return func(e bus.Event[any]) bool {
		d, _ := e.Data.(webchatservice.MessageReceivedData)
		return slices.ContainsFunc(d.Messages, func(m webchatservice.Message) bool {
			return m.Type == chat.KindFileUploaded && match(m)
		})
	}
}
