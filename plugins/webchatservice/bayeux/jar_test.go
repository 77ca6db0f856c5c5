package bayeux_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cxbus/cxbus/plugins/webchatservice/bayeux"
)

// A jar forgets the session alone, until the server begins another one.
func TestJar(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "gms.example.net", Path: "/cometd"}
	set := func(name, value string) []*http.Cookie { return []*http.Cookie{{Name: name, Value: value, Path: "/"}} }
	jar := bayeux.NewJar()
	names := func() (all []string) {
		for _, c := range jar.Cookies(u) {
			all = append(all, c.Name+"="+c.Value)
		}
		return all
	}
	jar.SetCookies(u, set("BAYEUX_BROWSER", "1"))
	jar.SetCookies(u, set("NODE", "a"))
	assert.ElementsMatch(t, []string{"BAYEUX_BROWSER=1", "NODE=a"}, names())
	jar.Forget()
	assert.Equal(t, []string{"NODE=a"}, names())
	jar.SetCookies(u, set("NODE", "b"))
	assert.Equal(t, []string{"NODE=b"}, names())
	jar.SetCookies(u, set("BAYEUX_BROWSER", "2"))
	assert.ElementsMatch(t, []string{"BAYEUX_BROWSER=2", "NODE=b"}, names())
}
