package config_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/bus"
	"github.com/cxbus/cxbus/bus/busconfig"
	"github.com/cxbus/cxbus/plugins/config"
)

type settings struct {
	Size int               `json:"size" min:"1" max:"9"`
	Tags map[string]string `json:"tags"`
}

// lamp takes its section when it starts and whenever it is configured.
type lamp struct {
	ns   string
	is   settings
	deny bool
}

func (l *lamp) Namespace() string { return l.ns }

func (l *lamp) Start(_ context.Context, c *bus.Client) error {
	if err := c.ConfigureFrom("lamp"+l.ns, &l.is); err != nil {
		return err
	}
	return bus.Handle(c, bus.NewCommand[settings, struct{}](l.ns+".configure", ""), func(_ context.Context, s settings) (none struct{}, err error) {
		if l.deny {
			return none, errors.New("not now")
		}
		l.is = s
		return none, nil
	})
}

// stage is a bus with two lamps and a file that can change.
type stage struct {
	file string
	a, b *lamp
	app  *bus.Client
}

func newStage(t *testing.T, file string) *stage {
	t.Helper()
	s := &stage{file: file, a: &lamp{ns: "A"}, b: &lamp{ns: "B"}}
	defaults := func() any { return &settings{Size: 1} }
	cfg, err := config.New(func() (*busconfig.Config, error) {
		return busconfig.Load(&busconfig.Options{File: "lamps.yaml", Data: []byte(s.file), Environ: []string{}})
	}, config.Section{Name: "lampA", Configure: "A.configure", Defaults: defaults},
		config.Section{Name: "lampB", Configure: "B.configure", Defaults: defaults})
	require.NoError(t, err)
	bb := bus.New(&bus.Options{Configure: cfg.Configure})
	require.NoError(t, bb.Start(t.Context(), cfg, s.a, s.b))
	t.Cleanup(func() { assert.NoError(t, bb.Close(context.Background())) })
	s.app, err = bb.Register("App")
	require.NoError(t, err)
	return s
}

func (s *stage) reload(t *testing.T) (config.Result, error) {
	t.Helper()
	out, err := s.app.Call(t.Context(), "Config.reload", nil)
	if err != nil {
		return config.Result{}, err
	}
	return out.(config.Result), nil
}

func TestReloadHandsOutWhatChanged(t *testing.T) {
	s := newStage(t, "lampA: {size: 2}\nlampB: {size: 3}\n")
	require.Equal(t, 2, s.a.is.Size)
	s.file = "lampA: {size: 2}\nlampB: {size: 4, tags: {Hall: x}}\n"
	res, err := s.reload(t)
	require.NoError(t, err)
	assert.Equal(t, []string{"lampB"}, res.Changed)
	assert.Equal(t, settings{4, map[string]string{"Hall": "x"}}, s.b.is)
	res, err = s.reload(t)
	require.NoError(t, err)
	assert.Empty(t, res.Changed, "nothing changed since")
}

func TestReloadRefusesAMistakeWhole(t *testing.T) {
	s := newStage(t, "lampA: {size: 2}\nlampB: {size: 3}\n")
	s.file = "lampA: {size: 5}\nlampB: {size: 30}\n"
	_, err := s.reload(t)
	require.ErrorIs(t, err, config.ErrRefused)
	require.ErrorIs(t, err, busconfig.ErrRange)
	assert.Contains(t, err.Error(), "lampB.size")
	assert.Equal(t, 2, s.a.is.Size, "the good section stays out too")
}

func TestReloadTakesBackWhatAPluginRefuses(t *testing.T) {
	s := newStage(t, "lampA: {size: 2}\nlampB: {size: 3}\n")
	refusals, err := s.app.Events(t.Context(), "Config.refused")
	require.NoError(t, err)
	s.file = "lampA: {size: 5}\nlampB: {size: 6}\n"
	s.b.deny = true
	_, err = s.reload(t)
	require.ErrorIs(t, err, config.ErrRefused)
	assert.Contains(t, err.Error(), "lampB")
	assert.Equal(t, 2, s.a.is.Size, "A has its old section back")
	for e := range refusals {
		assert.Equal(t, err.Error(), e.Data.(config.Refusal).Error)
		break
	}
	s.b.deny = false
	res, err := s.reload(t)
	require.NoError(t, err)
	assert.Equal(t, []string{"lampA", "lampB"}, res.Changed)
}

func TestNewRefusesABadFile(t *testing.T) {
	_, err := config.New(func() (*busconfig.Config, error) {
		return busconfig.Load(&busconfig.Options{File: "x.yaml", Data: []byte("lamb: {}\n"), Environ: []string{}})
	}, config.Section{Name: "lamp", Configure: "L.configure", Defaults: func() any { return &settings{} }})
	require.ErrorIs(t, err, busconfig.ErrUnknown)
	assert.Contains(t, err.Error(), "did you mean lamp?")
}
