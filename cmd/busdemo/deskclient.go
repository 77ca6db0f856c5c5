package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// orderTime limits an order to the desk, unless the program says otherwise.
const orderTime = 5 * time.Second

// deskClient is an agent's way to a desk.
type deskClient struct {
	base   string
	agent  string
	limit  time.Duration // of an order
	http   *http.Client
	events <-chan deskEvent // closed when the desk is gone
	leave  func()           // ends the presence
}

// sitDown begins the presence of an agent, until leave is called. The desk has so long for the answer to this and to
// each order; 0 means orderTime.
func sitDown(ctx context.Context, base, agent string, limit time.Duration) (*deskClient, error) {
	base = strings.TrimRight(base, "/")
	c := &deskClient{base: base, agent: agent, limit: cmp.Or(limit, orderTime), http: &http.Client{Transport: &http.Transport{}}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events?agent="+url.QueryEscape(agent), nil)
	var resp *http.Response
	if err == nil {
		// The answer to the request is to come soon, the stream in it may last.
		timer := time.AfterFunc(c.limit, cancel)
		resp, err = c.http.Do(req)
		if !timer.Stop() && err == nil {
			_ = resp.Body.Close() // nobody reads it
			err = context.DeadlineExceeded
		}
	}
	if err == nil {
		if err = refusal(resp); err != nil {
			_ = resp.Body.Close() // it was read
		}
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("no desk at %s: %w; busdemo sim --desk prints the address of one", base, bare(err))
	}
	events, done := make(chan deskEvent), make(chan struct{})
	go func() {
		defer close(done)
		defer close(events)
		for in := json.NewDecoder(resp.Body); ; {
			var e deskEvent
			if in.Decode(&e) != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	c.events = events
	c.leave = func() {
		cancel()
		_ = resp.Body.Close() // it was only read
		<-done
		c.http.CloseIdleConnections()
	}
	return c, nil
}

// bare returns an error of a request without the address, which the user knows.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// refusal returns what the desk has against a request, nil if nothing.
func refusal(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var answer struct{ Error string }
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || json.Unmarshal(b, &answer) != nil || answer.Error == "" {
		return errors.New("the answer is HTTP " + resp.Status)
	}
	return errors.New(answer.Error)
}

// do has an order carried out.
func (c *deskClient) do(ctx context.Context, o deskOrder) error {
	o.Agent = c.agent
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/do", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read from
	return refusal(resp)
}
