package gmssim_test

import (
	"bytes"
	"maps"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

func TestFormEncodings(t *testing.T) {
	for _, body := range []string{
		"nickname=Ada&userData[a b]=1%2B1&userData[x]=",
		"nickname=Ada&userData%5Ba+b%5D=1%2b1&userData%5Bx%5D=",
		"nickname=Ada&userData%5ba%20b%5d=1%2b1&userData%5bx%5d",
		"nickname=Ada&nickname=Eve&userData[a b]=1%2B1&userData[a b]=2&userData[x]=&userData[]=n&userData[y=n&userData]=n",
	} {
		form, data, err := gmssim.ParseForm("Application/X-WWW-Form-Urlencoded; charset=utf-8", body)
		require.NoError(t, err, body)
		assert.Equal(t, "Ada", form["nickname"], body)
		assert.Equal(t, map[string]string{"a b": "1+1", "x": ""}, data, body)
	}
}

func TestFormRefused(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	for _, c := range []struct{ name, contentType, body string }{
		{"no type", "", "a=b"},
		{"JSON", "application/json", "{}"},
		{"other charset", urlencoded + "; charset=latin1", "a=b"},
		{"bad escape", urlencoded, "a=%zz"},
		{"bad UTF-8 value", urlencoded, "a=%ff"},
		{"bad UTF-8 key", urlencoded, "userData[%ff]=1"},
		{"semicolon", urlencoded, "a=b;c=d"},
		{"no boundary", "multipart/form-data", "x"},
		{"no parts", "multipart/form-data; boundary=b", "x"},
		{"cut part", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"},
		{"many parts", "multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n", 1<<15) + "--b--"},
		{"two files", "multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\r\n", 2) + "--b--"},
		{"too large", urlencoded, "a=" + strings.Repeat("x", 1<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := gmssim.ParseForm(c.contentType, c.body)
			assert.Error(t, err)
		})
	}
}

// What parses agrees with net/url, survives being encoded again, in either
// spelling of the brackets and as multipart.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "nickname=Ada&userData%5BTimeZone%5D=60&alias=&secureKey=&userId=",
		"userData[a]=1&userData%5ba%5d=2", "userData[[x]]=1", "userData[]=1", "a=%ff", "%=&&=", "a=b;c", "a+b=c+d",
	} {
		f.Add(seed)
	}
	const urlencoded = "application/x-www-form-urlencoded"
	f.Fuzz(func(t *testing.T, body string) {
		form, data, err := gmssim.ParseForm(urlencoded, body)
		query, queryErr := url.ParseQuery(body)
		if err != nil {
			valid := queryErr == nil
			for name, v := range query {
				valid = valid && utf8.ValidString(name) && utf8.ValidString(v[0])
			}
			if valid {
				t.Fatalf("ParseForm(%q) = %v, net/url takes it", body, err)
			}
			return
		}
		if queryErr != nil {
			t.Fatalf("ParseForm(%q) takes what net/url refuses: %v", body, queryErr)
		}
		if len(form)+len(data) != len(query) {
			t.Fatalf("ParseForm(%q) has %d+%d parameters, want %d", body, len(form), len(data), len(query))
		}
		var raw, escaped []string
		var buf bytes.Buffer
		parts := multipart.NewWriter(&buf)
		multi := true
		add := func(name, value string) {
			raw = append(raw, strings.NewReplacer("%5B", "[", "%5D", "]").Replace(url.QueryEscape(name))+"="+url.QueryEscape(value))
			escaped = append(escaped, url.QueryEscape(name)+"="+url.QueryEscape(value))
			// A header line cannot hold every name; those of real clients it can.
			if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' || r == '%' }) {
				multi = false
				return
			}
			w, err := parts.CreateFormField(name)
			require.NoError(t, err)
			_, _ = w.Write([]byte(value))
		}
		// In order, so that one input always takes the same way.
		for _, name := range slices.Sorted(maps.Keys(form)) {
			value := form[name]
			if query.Get(name) != value {
				t.Fatalf("ParseForm(%q)[%q] = %q, want %q", body, name, value, query.Get(name))
			}
			add(name, value)
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			value := data[key]
			if query.Get("userData["+key+"]") != value {
				t.Fatalf("ParseForm(%q) userData[%q] = %q, want %q", body, key, value, query.Get("userData["+key+"]"))
			}
			add("userData["+key+"]", value)
		}
		require.NoError(t, parts.Close())
		bodies := map[string]string{urlencoded: strings.Join(escaped, "&"), urlencoded + "; charset=UTF-8": strings.Join(raw, "&")}
		if multi {
			bodies[parts.FormDataContentType()] = buf.String()
		}
		for contentType, again := range bodies {
			form2, data2, err := gmssim.ParseForm(contentType, again)
			require.NoError(t, err, again)
			require.Equal(t, form, form2, again)
			require.Equal(t, data, data2, again)
		}
	})
}
