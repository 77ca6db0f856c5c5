package webchatservice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

func (s *Service) configure(_ context.Context, cfg Config) (none struct{}, err error) {
	return none, s.accept(cfg, true)
}

// check says what is wrong with the way a program gives drivers.
func (o *Options) check() error {
	if o.Driver == nil {
		return nil
	}
	var set []string
	for name, is := range map[string]bool{
		"Drivers": len(o.Drivers) > 0, "HTTPClient": o.HTTPClient != nil, "Dial": o.Dial != nil, "Headers": len(o.Headers) > 0,
		"Authorization": o.Authorization != nil,
	} {
		if is {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return nil
	}
	slices.Sort(set)
	return failure(ErrInvalidConfig, "", fmt.Errorf("webchatservice.Options has a Driver, and also %s", strings.Join(set, ", ")),
		"give these to the driver, in its chat.Options")
}

// accept makes cfg the configuration, from the next session on. maxMessageLength and masks count at once: they judge
// one text at a time, and nothing in a session depends on what they were. whole says that cfg must do to begin a
// session with: a missing address is an error then. After an error all is as it was.
func (s *Service) accept(cfg Config, whole bool) error {
	w, err := cfg.judge(s.opts.Drivers)
	if err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	for path, data := range map[string]*map[string]any{
		"webchat.userData": &cfg.UserData, "webchat.transport.interactionData": &cfg.Transport.InteractionData,
	} {
		if *data, err = plainData(*data); err != nil {
			return failure(ErrInvalidConfig, "", fmt.Errorf("%s: %w", path, err), "")
		}
	}
	client, made, err := s.opts.network(&cfg)
	if err != nil {
		return err
	}
	masks, err := cfg.masks()
	if err != nil {
		return err // never: judge has looked
	}
	if _, err = s.opts.headers(&cfg); err != nil {
		return err
	}
	unused := "options are set that are for another transport"
	if s.opts.Driver != nil {
		unused = "options of wires are set, and the program has made the driver"
		w.unused = append(w.unused, cfg.selecting()...)
	}
	cfg.files = nil
	var driver chat.Driver
	if whole && s.opts.Driver == nil {
		if driver, err = s.drivers.make(&cfg, client); err != nil {
			return err
		}
	}
	s.deps.hooks.setMasks(append(masks, s.opts.Masks...))
	if len(w.unused) > 0 {
		s.deps.log.Warn(unused, "options", w.unused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.drivers.idle {
		c.CloseIdleConnections()
	}
	s.cfg, s.drivers.client = cfg, client
	if s.opts.Driver == nil {
		s.drivers.useLocked(driver)
	}
	if made != nil {
		s.drivers.idle = append(s.drivers.idle, made)
	}
	s.deps.limits.inactivity = or(s.opts.InactivityLimit, ms(cfg.InactivityLimit))
	s.deps.maxText.Store(int64(cfg.MaxMessageLength))
	s.deps.limits.offline = cfg.PollExceptionLimit
	return nil
}

// selecting returns those of the service's options that are set and only matter where the service makes the driver.
func (c *Config) selecting() (names []string) {
	if c.EnableCustomHeader {
		names = append(names, "webchat.enableCustomHeader")
	}
	if c.CometD.Enabled {
		names = append(names, "webchat.cometD.enabled")
	}
	if c.Transport.Type != "" {
		names = append(names, "webchat.transport.type")
	}
	return names
}

// drivers makes the driver of a service, anew for each configuration. The service's mu guards the fields but opts and
// log.
type drivers struct {
	opts *Options
	log  *slog.Logger

	client  *http.Client // for the configuration; nil: the driver's own
	current chat.Driver
	idle    []chat.IdleCloser // drivers made so far, with connections to be cleaned up
}

// prepareDriver sees to it that there is a driver for the configuration. It makes one with no lock held, since
// factories are other people's code.
func (s *Service) prepareDriver() error {
	s.mu.Lock()
	current, cfg, client := s.drivers.current, s.cfg, s.drivers.client
	s.mu.Unlock()
	if current != nil {
		return nil
	}
	made, err := s.drivers.make(&cfg, client)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drivers.current == nil { // else somebody was faster
		s.drivers.useLocked(made)
	}
	return nil
}

// useLocked makes driver the one for the configuration; nil: one is made when it is needed.
func (d *drivers) useLocked(driver chat.Driver) {
	d.current = driver
	if c, ok := driver.(chat.IdleCloser); ok {
		d.idle = append(d.idle, c)
	}
}

// make makes a driver for cfg, which has its defaults. What is in Wire is read for the occasion: it may hold a
// password, which nothing that lasts should have in clear.
func (d *drivers) make(cfg *Config, client *http.Client) (chat.Driver, error) {
	w, err := cfg.judge(d.opts.Drivers)
	if err != nil {
		return nil, err // never: accept has looked
	}
	if w.factory == nil {
		return nil, failure(ErrInvalidTransport, "", errors.New("there is no driver: webchatservice.Options has neither Drivers nor Driver"),
			"set Drivers to wires.All(), of which the configuration selects one, or Driver to one that the program has made")
	}
	headers, err := d.opts.headers(cfg)
	if err != nil {
		return nil, err // never: accept has looked
	}
	var made chat.Driver
	odd := contained(func() {
		made, err = w.factory.New(w.config, &chat.Options{
			Client: client, Dial: d.opts.Dial, Headers: headers, Authorization: d.opts.Authorization,
			Logger: d.log.With("wire", w.factory.Name),
		})
	})
	if odd != nil {
		err = fmt.Errorf("factory %s did not return: %w", w.factory.Name, odd)
	}
	if err != nil {
		return nil, failure(ErrInvalidConfig, "", err, "")
	}
	return made, nil
}

// headers returns the program's headers that go with requests under cfg.
func (o *Options) headers(cfg *Config) (map[string]chat.Secret, error) {
	all := maps.Clone(o.Headers)
	given := o.Authorization != nil || o.Driver != nil
	for name := range o.Headers {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			if given = true; !cfg.EnableCustomHeader {
				delete(all, name)
			}
		}
	}
	if cfg.EnableCustomHeader && !given {
		return nil, failure(ErrInvalidConfig, "", errors.New("webchat.enableCustomHeader: the program gives no header Authorization, which no configuration has"),
			"set Options.Headers or Options.Authorization, or leave the option out")
	}
	return all, nil
}

// network returns the client that makes the requests for cfg; nil leaves that to the drivers. A transport that
// it makes goes into made.
func (o *Options) network(cfg *Config) (client *http.Client, made *http.Transport, err error) {
	n := cfg.Network
	switch {
	case n == (Network{}):
		return o.HTTPClient, nil, nil
	case o.Driver != nil:
		return nil, nil, failure(ErrInvalidConfig, "", errors.New("webchat.network: the program has made the driver, and its way out"),
			"leave the group out, or give the driver a client with a chat.NewTransport")
	case o.HTTPClient != nil:
		return nil, nil, failure(ErrInvalidConfig, "", errors.New("webchat.network: the program has an HTTP client of its own"),
			"leave the group out, or Options.HTTPClient")
	}
	made, err = chat.NewTransport(chat.TransportOptions{
		Proxy: n.Proxy.Secret, CAFile: n.CAFile, CertFile: n.CertFile, KeyFile: n.KeyFile, ServerName: n.ServerName,
		Dial: o.Dial, Prefix: "webchat.network.",
	})
	if err != nil {
		return nil, nil, failure(ErrInvalidConfig, "", err, "")
	}
	return &http.Client{Transport: made}, made, nil
}
