package bayeux_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// Advice merges; what is of the wrong type was not said, and what is beyond all measure is cut.
func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		all  []string
		want bayeux.Advice
	}{
		"none":       {nil, bayeux.Advice{Timeout: time.Minute}},
		"all":        {[]string{`{"reconnect":"handshake","interval":5,"timeout":30000,"maxInterval":1000,"hosts":["a"],"multiple-clients":true}`}, bayeux.Advice{"handshake", 5 * time.Millisecond, 30 * time.Second, time.Second, true}},
		"merges":     {[]string{`{"interval":5,"reconnect":"retry"}`, `{"timeout":1}`}, bayeux.Advice{Interval: 5 * time.Millisecond, Timeout: time.Millisecond}},
		"text":       {[]string{`{"interval":"2000","multiple-clients":"true"}`}, bayeux.Advice{Interval: 2 * time.Second, Timeout: time.Minute, Multiple: true}},
		"wrong":      {[]string{`{"interval":{},"timeout":"soon","reconnect":5,"maxInterval":null,"hosts":7}`}, bayeux.Advice{Timeout: time.Minute}},
		"NaN":        {[]string{`{"interval":"NaN","timeout":"Inf"}`}, bayeux.Advice{Timeout: 10 * time.Minute}},
		"unknown":    {[]string{`{"reconnect":"perhaps"}`}, bayeux.Advice{Timeout: time.Minute}},
		"several":    {[]string{`{"interval":5}`, `{"interval":2000,"multiple-clients":true}`}, bayeux.Advice{Interval: 2 * time.Second, Timeout: time.Minute, Multiple: true}},
		"not now":    {[]string{`{"interval":5}`, `{"interval":2000,"multiple-clients":true}`, `{}`}, bayeux.Advice{Interval: 5 * time.Millisecond, Timeout: time.Minute}},
		"no more":    {[]string{`{"interval":-1}`}, bayeux.Advice{Interval: -1, Timeout: time.Minute}},
		"too much":   {[]string{`{"interval":1e300,"timeout":1e300,"maxInterval":1e300}`}, bayeux.Advice{Interval: time.Hour, Timeout: 10 * time.Minute, MaxInterval: time.Hour}},
		"no object":  {[]string{`7`}, bayeux.Advice{Timeout: time.Minute}},
		"fractional": {[]string{`{"interval":0.5}`}, bayeux.Advice{Interval: 500 * time.Microsecond, Timeout: time.Minute}},
	} {
		assert.Equal(t, c.want, bayeux.MergeAdvice(c.all...), name)
	}
}
