// Package config is the plugin Config: it reads a program's configuration
// again while the program runs.
//
// The command Config.reload loads a fresh configuration and checks all of it.
// If that succeeds, the fresh one replaces the old and each section that has
// changed is handed to its plugins through their configure commands. If anything
// in it is wrong, the old configuration stays in force, whole, and the error
// says what to mend.
//
// Several plugins may share a section: each gets the options that its own struct
// declares, and an option is unknown only if none of them declares it.
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
	// the order the sections were given to New. A shared section counts once.
	Changed []string `json:"changed"`
}

// Refusal says why a reload was refused.
type Refusal struct {
	Error string `json:"error"`
}

// ErrRefused is returned by Config.reload when the fresh configuration has a
// mistake, or a plugin would not take its section. Its cause says which.
var ErrRefused = &bus.Error{Code: "config.refused", Text: "the fresh configuration was refused, the old one stays in force"}

// errEmptied refuses a file that an editor has just emptied to write it anew.
var errEmptied = &busconfig.Error{
	Code: busconfig.CodeFile, Text: "the configuration has become empty, as a file is while it is being written",
	Hint: "reload it when it is complete",
}

// Section is one section of the configuration and who gets it. Several Sections
// of one name share that section.
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
	values   []any                            // of each of sections, what is in force
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

// fresh loads and decodes everything. The values are in the order of the
// sections.
func (p *Plugin) fresh() (*busconfig.Config, []any, error) {
	cfg, err := p.load()
	if err != nil {
		return nil, nil, err
	}
	claims := make([]busconfig.Claim, len(p.sections))
	for i, s := range p.sections {
		claims[i] = busconfig.Claim{Namespace: s.Name, Into: s.Defaults()}
	}
	if err := cfg.Decode(claims...); err != nil {
		return nil, nil, err
	}
	values := make([]any, len(claims))
	for i, c := range claims {
		values[i] = reflect.ValueOf(c.Into).Elem().Interface()
	}
	return cfg, values, nil
}

// Configure fills into from the section of that name as it is in force; options
// that only other plugins declare are theirs. It is meant for
// [bus.Options.Configure]. It does not block; during a reload it is the old one
// that is in force.
func (p *Plugin) Configure(section string, into any) error {
	all := []any{into}
	for _, s := range p.sections {
		if s.Name != section {
			continue
		}
		if other := s.Defaults(); reflect.TypeOf(other) != reflect.TypeOf(into) {
			all = append(all, other)
		}
	}
	return p.cfg.Load().Section(section).Decode(all...)
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
	if err == nil && len(cfg.Namespaces()) == 0 && len(p.cfg.Load().Namespaces()) > 0 {
		err = errEmptied
	}
	if err != nil {
		return refused(err)
	}
	var done []int
	res := Result{Changed: []string{}}
	for i, s := range p.sections {
		if reflect.DeepEqual(values[i], p.values[i]) {
			continue
		}
		if _, err := p.client.Call(ctx, s.Configure, values[i]); err != nil {
			for _, j := range slices.Backward(done) {
				d := p.sections[j]
				if _, back := p.client.Call(context.WithoutCancel(ctx), d.Configure, p.values[j]); back != nil {
					err = errors.Join(err, fmt.Errorf("%s: give %s the old section back: %w", d.Name, d.Configure, back))
				}
			}
			return refused(fmt.Errorf("section %s: %w", s.Name, err))
		}
		done = append(done, i)
		if !slices.Contains(res.Changed, s.Name) {
			res.Changed = append(res.Changed, s.Name)
		}
	}
	p.cfg.Store(cfg)
	p.values = values
	return res, nil
}

var _ bus.Plugin = (*Plugin)(nil)
