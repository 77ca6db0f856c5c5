package config_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/config"
)

// wire and look are what two plugins read of one section.
type wire struct {
	DataURL   string `json:"dataURL"`
	MaxLength int    `json:"maxMessageLength" max:"500"`
}

type look struct {
	Emojis    bool `json:"emojis"`
	MaxLength int  `json:"maxMessageLength"`
}

// reader is a plugin that takes its part of the section webchat when it starts
// and whenever it is configured.
type reader[T any] struct {
	ns    string
	is    T
	calls int
}

func (r *reader[T]) Namespace() string { return r.ns }

func (r *reader[T]) Start(_ context.Context, c *bus.Client) error {
	if err := c.ConfigureFrom("webchat", &r.is); err != nil {
		return err
	}
	return bus.Handle(c, bus.NewCommand[T, struct{}](r.ns+".configure", ""), func(_ context.Context, is T) (none struct{}, err error) {
		r.is = is
		r.calls++
		return none, nil
	})
}

func TestTwoPluginsShareASection(t *testing.T) {
	file := "webchat: {dataURL: http://a, emojis: true, maxMessageLength: 300}\n"
	service, window := &reader[wire]{ns: "Service"}, &reader[look]{ns: "Window"}
	cfg, err := config.New(func() (*busconfig.Config, error) {
		return busconfig.Load(&busconfig.Options{File: "c.yaml", Data: []byte(file), Environ: []string{}})
	},
		config.Section{Name: "webchat", Configure: "Service.configure", Defaults: func() any { return &wire{} }},
		config.Section{Name: "webchat", Configure: "Window.configure", Defaults: func() any { return &look{} }},
	)
	require.NoError(t, err)
	b := bus.New(&bus.Options{Configure: cfg.Configure})
	require.NoError(t, b.Start(t.Context(), cfg, service, window))
	defer func() { assert.NoError(t, b.Close(context.Background())) }()
	app, err := b.Register("App")
	require.NoError(t, err)
	reload := func(to string) (config.Result, error) {
		file = to
		out, err := app.Call(t.Context(), "Config.reload", nil)
		if err != nil {
			return config.Result{}, err
		}
		return out.(config.Result), nil
	}
	assert.Equal(t, wire{"http://a", 300}, service.is)
	assert.Equal(t, look{true, 300}, window.is)

	res, err := reload("webchat: {dataURL: http://b, emojis: true, maxMessageLength: 300}\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"webchat"}, res.Changed)
	assert.Equal(t, wire{"http://b", 300}, service.is)
	assert.Zero(t, window.calls, "nothing that the window reads has changed")

	res, err = reload("webchat: {dataURL: http://b, maxMessageLength: 400}\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"webchat"}, res.Changed, "once, though both took it")
	assert.Equal(t, wire{"http://b", 400}, service.is)
	assert.Equal(t, look{false, 400}, window.is)

	_, err = reload("webchat: {dataURL: http://c, emoji: true, maxMessageLength: 600}\n")
	require.ErrorIs(t, err, config.ErrRefused)
	assert.ErrorContains(t, err, "webchat.emoji: unknown option; did you mean webchat.emojis?")
	assert.ErrorContains(t, err, "webchat.maxMessageLength: 600 is out of range", "for the one that has a limit")
	assert.Equal(t, wire{"http://b", 400}, service.is)
}

func TestReloadRefusesAnEmptiedFile(t *testing.T) {
	s := newStage(t, "lampA: {size: 2}\nlampB: {size: 3}\n")
	for _, emptied := range []string{"", " \n", "# lamps\n"} {
		s.file = emptied
		_, err := s.reload(t)
		require.ErrorIs(t, err, config.ErrRefused)
		require.ErrorIs(t, err, busconfig.ErrFile)
		assert.ErrorContains(t, err, "has become empty")
		assert.Equal(t, 2, s.a.is.Size)
	}
	s.file = "lampA: {}\n"
	res, err := s.reload(t)
	require.NoError(t, err, "a section can be emptied")
	assert.Equal(t, []string{"lampA", "lampB"}, res.Changed)
}

func TestEmptyFromTheStart(t *testing.T) {
	s := newStage(t, "")
	res, err := s.reload(t)
	require.NoError(t, err)
	assert.Empty(t, res.Changed)
}
