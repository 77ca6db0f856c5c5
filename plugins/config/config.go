// Package config is the plugin Config: it reads a program's configuration
// again while the program runs.
//
// The command Config.reload loads a fresh configuration and checks all of it.
// If that succeeds, the fresh one replaces the old and each section that has
// changed is handed to its plugin through the plugin's configure command. If anything
// in it is wrong, the old configuration stays in force, whole, and the error
// says what to mend.
//
//	cfg, err := config.New(load, config.Section{
//		Name:      "webchat",
//		Configure: "WebChatService.configure",
//		Defaults:  func() any { c := webchatservice.DefaultConfig(); return &c },
//	})
//	b := bus.New(&bus.Options{Configure: cfg.Configure})
//	err = b.Start(ctx, cfg, webchatservice.New(...))
package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
)

// Namespace is the plugin's.
const Namespace = "Config"

// The plugin's command and events.
var (
	Reload = bus.NewCommand[struct{}, Result](Namespace+".reload",
		"Reads the configuration again and hands each changed section to its plugin.")
	Reloaded = bus.NewEvent[Result](Namespace+".reloaded",
		"A fresh configuration is in force.")
	Refused = bus.NewEvent[Refusal](Namespace+".refused",
		"A fresh configuration was refused; the old one is in force.")
)

// Result says what a reload changed.
type Result struct {
	// Changed are the sections that differed and that their plugins took, in
	// the order the sections were given to New.
	Changed []string `json:"changed"`
}

// Refusal says why a reload was refused.
type Refusal struct {
	Error string `json:"error"`
}

// ErrRefused is returned by Config.reload when the fresh configuration has a
// mistake, or a plugin would not take its section. Its cause says which.
var ErrRefused = &bus.Error{Code: "config.refused", Text: "the fresh configuration was refused, the old one stays in force"}

// Section is one section of the configuration and who gets it.
type Section struct {
	// Name is the section's name in the file.
	Name string
	// Configure is the full name of the command that takes the section: its
	// input is the struct that Defaults returns a pointer to.
	Configure string
	// Defaults returns a pointer to a new struct with the defaults in it.
	Defaults func() any
}

// Plugin is the plugin. Its methods are safe for concurrent use.
type Plugin struct {
	load     func() (*busconfig.Config, error)
	sections []Section
	cfg      atomic.Pointer[busconfig.Config] // in force
	turn     chan struct{}                    // one reload at a time; guards values
	values   map[string]any                   // by section, what is in force
	publish  *bus.Publisher[Result]
	refuse   *bus.Publisher[Refusal]
	client   *bus.Client
}

// New loads the configuration for the first time, by load, and checks all of
// it against the sections, which are all there may be. It returns what load
// returns, or the mistakes of the configuration as [*busconfig.Error].
func New(load func() (*busconfig.Config, error), sections ...Section) (*Plugin, error) {
	p := &Plugin{load: load, sections: slices.Clone(sections), turn: make(chan struct{}, 1)}
	cfg, values, err := p.fresh()
	if err != nil {
		return nil, err
	}
	p.cfg.Store(cfg)
	p.values = values
	return p, nil
}

// fresh loads and decodes everything.
func (p *Plugin) fresh() (*busconfig.Config, map[string]any, error) {
	cfg, err := p.load()
	if err != nil {
		return nil, nil, err
	}
	values := map[string]any{}
	var known []string
	var errs []error
	for _, s := range p.sections {
		into := s.Defaults()
		errs = append(errs, cfg.Section(s.Name).Decode(into))
		values[s.Name] = reflect.ValueOf(into).Elem().Interface()
		known = append(known, s.Name)
	}
	errs = append(errs, cfg.CheckUnknown(known...))
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return cfg, values, nil
}

// Configure fills into from the section of that name as it is in force. It is
// meant for [bus.Options.Configure]. It does not block; during a reload it is the
// old one that is in force.
func (p *Plugin) Configure(section string, into any) error {
	return p.cfg.Load().Section(section).Decode(into)
}

// Namespace implements [bus.Plugin].
func (p *Plugin) Namespace() string { return Namespace }

// Start implements [bus.Plugin].
func (p *Plugin) Start(_ context.Context, c *bus.Client) (err error) {
	p.client = c
	if p.publish, err = Reloaded.Bind(c); err != nil {
		return err
	}
	if p.refuse, err = Refused.Bind(c); err != nil {
		return err
	}
	return bus.Handle(c, Reload, p.reload)
}

func (p *Plugin) reload(ctx context.Context, _ struct{}) (Result, error) {
	res, err := p.swap(ctx)
	if err != nil {
		_ = p.refuse.Publish(p.client.Context(), Refusal{err.Error()}) // the caller has the error
		return Result{}, err
	}
	return res, p.publish.Publish(p.client.Context(), res)
}

// swap puts a fresh configuration in force, or none of it: a plugin that
// refuses its section makes those before it get the old one back.
func (p *Plugin) swap(ctx context.Context) (Result, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
	refused := func(err error) (Result, error) {
		e := *ErrRefused
		e.Op, e.Err = Reload.Name(), err
		return Result{}, &e
	}
	cfg, values, err := p.fresh()
	if err != nil {
		return refused(err)
	}
	var done []Section
	res := Result{Changed: []string{}}
	for _, s := range p.sections {
		if reflect.DeepEqual(values[s.Name], p.values[s.Name]) {
			continue
		}
		if _, err := p.client.Call(ctx, s.Configure, values[s.Name]); err != nil {
			for _, d := range slices.Backward(done) {
				if _, back := p.client.Call(context.WithoutCancel(ctx), d.Configure, p.values[d.Name]); back != nil {
					err = errors.Join(err, fmt.Errorf("%s: give %s the old section back: %w", d.Name, d.Configure, back))
				}
			}
			return refused(fmt.Errorf("section %s: %w", s.Name, err))
		}
		done = append(done, s)
		res.Changed = append(res.Changed, s.Name)
	}
	p.cfg.Store(cfg)
	p.values = values
	return res, nil
}

var _ bus.Plugin = (*Plugin)(nil)
