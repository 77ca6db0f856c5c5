package gms_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
	"github.com/cxbus/cxbus/plugins/webchatservice/gms"
)

const fullAnswer = `{
  "statusCode": 0, "chatId": "0001HaF3KQ9B00A1", "alias": "204", "userId": "00D45B1F2C7A0033", "secureKey": "9f31c07a55e2d8b4",
  "nextPosition": 3, "chatEnded": false, "idleTimerExpire": 30,
  "messages": [
    {"from": {"nickname": "system", "participantId": 2, "type": "External"}, "index": 2, "type": "Message", "text": "plain",
     "messageType": "text", "utcTime": 1709280001500,
     "eventAttributes": {"GCTI_SYSTEM": {"party-info": {"style": "\"BOT\""}},
       "structured-content": {"genesys-chat": {"content": "{\"text\":\"rich\",\"type\":\"x\"}"}}}},
    {"from": {"nickname": "Ada", "participantId": "1", "type": "Client"}, "index": "1", "type": "ParticipantJoined", "utcTime": "1709280000000"},
    {"from": {"nickname": "Ann", "participantId": 3, "type": "Agent"}, "index": 3, "type": "FileUploaded", "utcTime": 1709280002000,
     "userData": {"file-id": "F1", "file-name": "bill.pdf", "file-size": "20480", "big": 12345678901234567890}}
  ]
}`

func TestParseFullAnswer(t *testing.T) {
	a, err := gms.Parse([]byte(fullAnswer), true, chat.Secret{})
	require.NoError(t, err)
	assert.Equal(t, chat.Session{
		ID: "0001HaF3KQ9B00A1", UserID: "00D45B1F2C7A0033", Alias: "204", SecureKey: chat.NewSecret("9f31c07a55e2d8b4"),
	}, a.Session)
	require.Len(t, a.Messages, 3)
	join, bot, file := a.Messages[0], a.Messages[1], a.Messages[2]
	assert.Equal(t, chat.KindParticipantJoined, join.Kind, "sorted by index")
	assert.Equal(t, chat.Party{ID: "1", Role: chat.RoleClient, Name: "Ada"}, join.From)
	assert.True(t, join.Own)
	assert.Equal(t, time.UnixMilli(1709280000000).UTC(), join.Time)
	assert.Equal(t, chat.RoleBot, bot.From.Role)
	assert.Equal(t, "rich", bot.Text)
	assert.Equal(t, "text", bot.Label)
	assert.False(t, bot.Own)
	assert.Contains(t, string(bot.Raw), `"text": "plain"`)
	assert.Equal(t, &chat.File{ID: "F1", Name: "bill.pdf", Size: 20480}, file.File)
	assert.Equal(t, json.Number("12345678901234567890"), file.UserData["big"])
	assert.NotContains(t, string(a.Raw), "9f31c07a55e2d8b4")
	assert.Contains(t, string(a.Raw), chat.Redacted)
}

// The forms in which bots and structured content are known to come (wire-gms A.4).
func TestParseAttributes(t *testing.T) {
	for attributes, want := range map[string]struct {
		text string
		role chat.Role
	}{
		`{"GCTI_SYSTEM":{"party-info":{"style":"BOT"}}}`:                                     {"plain", chat.RoleBot},
		`{"GCTI_SYSTEM":{"party-info":{"style":"AGENT"}}}`:                                   {"plain", chat.RoleExternal},
		`{"GCTI_SYSTEM":"{\"party-info\":{\"style\":\"BOT\"}}"}`:                             {"plain", chat.RoleBot},
		`{"GCTI_SYSTEM":null,"structured-content":7}`:                                        {"plain", chat.RoleExternal},
		`"{\"GCTI_SYSTEM\":{\"party-info\":{\"style\":\"BOT\"}}}"`:                           {"plain", chat.RoleBot},
		`{"structured-content":{"genesys-chat":{"content":{"text":"rich"}}}}`:                {"rich", chat.RoleExternal},
		`{"structured-content":{"genesys-chat":{"content":"{\"text\":\"rich\"}"}}}`:          {"rich", chat.RoleExternal},
		`{"structured-content":{"genesys-chat":{"content":{"text":""}}}}`:                    {"", chat.RoleExternal},
		`{"structured-content":{"genesys-chat":{"content":"no JSON"}}}`:                      {"plain", chat.RoleExternal},
		`{"structured-content":{"genesys-chat":{"content":{"text":["no","string"]}}}}`:       {"plain", chat.RoleExternal},
		`{"structured-content":{"another-channel":{"content":{"text":"not for this one"}}}}`: {"plain", chat.RoleExternal},
		`null`: {"plain", chat.RoleExternal},
		`[]`:   {"plain", chat.RoleExternal},
	} {
		body := `{"statusCode":0,"messages":[{"index":1,"type":"Message","text":"plain","from":{"type":"External"},"eventAttributes":` + attributes + `}]}`
		a, err := gms.Parse([]byte(body), true, chat.Secret{})
		require.NoError(t, err, attributes)
		require.Len(t, a.Messages, 1)
		assert.Equal(t, want.text, a.Messages[0].Text, attributes)
		assert.Equal(t, want.role, a.Messages[0].From.Role, attributes)
	}
}

// Wrong types cost what they are in, and nothing around it.
func TestParseIsLenientInside(t *testing.T) {
	a, err := gms.Parse([]byte("\xef\xbb\xbf "+`{"statusCode":"0","chatEnded":"true","chatId":7,"alias":null,"errors":"many","messages":[
		null, 5, "x", [],
		{"index":1.0,"text":5,"from":"Ann","type":"Message","userData":[1],"utcTime":"soon","eventAttributes":3},
		{"index":-1,"text":null,"from":{"participantId":null,"nickname":{"a":1}},"type":"Strange"},
		{"index":2,"text":"fine","from":{"participantId":3,"nickname":"Ann","type":"Agent"},"type":"Message"}]}`), true, chat.Secret{})
	require.NoError(t, err)
	assert.True(t, a.Ended)
	assert.Equal(t, chat.Session{ID: "7"}, a.Session)
	assert.Equal(t, []chat.ServerError{{Advice: "many"}}, a.Errors)
	require.Len(t, a.Messages, 3)
	assert.Equal(t, "5", a.Messages[0].Text)
	assert.NotZero(t, a.Messages[0].Index)
	assert.True(t, a.Messages[0].Time.IsZero())
	assert.Zero(t, a.Messages[1].Index)
	assert.Equal(t, chat.MessageKind("Strange"), a.Messages[1].Kind)
	assert.Equal(t, "fine", a.Messages[2].Text)
	assert.Equal(t, chat.RoleAgent, a.Messages[2].From.Role)
}

// A key is taken out wherever it stands and however it is spelled; what is too short to be a key is
// only hidden where it is one.
func TestParseHidesKeys(t *testing.T) {
	for name, body := range map[string]string{
		"plain":     `{"statusCode":0,"secureKey":"geheim-0123456789"}`,
		"escaped":   `{"statusCode":0,"secureKey":"\u0067eheim-0123456789","note":"\u0067\u0065heim-0123456789"}`,
		"case":      `{"statusCode":0,"SecureKey":"geheim-0123456789"}`,
		"twice":     `{"secureKey":"geheim-0123456789","statusCode":0,"securekey":"geheim-0123456789"}`,
		"advice":    `{"statusCode":2,"errors":[{"code":"geheim-0123456789","advice":"key geheim-0123456789 is wrong"}]}`,
		"line":      `{"statusCode":0,"messages":[{"index":1,"text":"geheim-0123456789","userData":{"geheim-0123456789":"x"}}]}`,
		"elsewhere": `{"statusCode":0,"data":[{"deep":"...geheim-0123456789..."}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			a, err := gms.Parse([]byte(body), true, chat.NewSecret("geheim-0123456789"))
			require.NoError(t, err)
			shown, err := json.Marshal(a)
			require.NoError(t, err)
			assert.NotContains(t, string(shown), "eheim")
			assert.True(t, json.Valid(a.Raw))
		})
	}
	for _, key := range []string{`"x"`, `12345`, `123456789`, `{"a":1}`, `true`} {
		a, err := gms.Parse([]byte(`{"statusCode":0,"note":"x 12345","secureKey":`+key+`}`), true, chat.Secret{})
		require.NoError(t, err)
		assert.JSONEq(t, `{"statusCode":0,"note":"x 12345","secureKey":"[secret]"}`, string(a.Raw))
	}
}

// FuzzParse holds the parser to its laws: it does not panic; what it accepts is a JSON object in valid
// UTF-8 by the judgement of encoding/json; what it passes on is valid JSON without the key; and each
// raw line, put into an answer of its own, gives the same line again.
func FuzzParse(f *testing.F) {
	const key = "9f31c07a55e2d8b4"
	f.Add([]byte(fullAnswer))
	f.Add([]byte(`{"statusCode":2,"chatEnded":true,"errors":[{"code":"8210","advice":"key ` + key + `"}]}`))
	f.Add([]byte(`{"statusCode":0,"messages":[{"index":2,"text":"\u0039f31c07a55e2d8b4"},{},{"index":1,"userData":{"a":[1.5e300]}}]}`))
	f.Add([]byte(`{"errors":{"code":1}}`))
	f.Add([]byte("<html>"))
	f.Add([]byte("\xef\xbb\xbf{\"statusCode\":\"1\"}"))
	f.Add([]byte(`{"statusCode":0,"messages":[` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		secret := chat.NewSecret(key)
		a, err := gms.Parse(body, false, secret)
		if err != nil {
			assert.NotContains(t, err.Error(), key)
			return
		}
		require.True(t, utf8.Valid(body))
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &members))
		require.True(t, json.Valid(a.Raw), "%s", a.Raw)
		assertNoKey(t, a.Raw, key)
		assertSameAsEncodingJSON(t, a)
		for i, m := range a.Messages {
			require.True(t, json.Valid(m.Raw), "%s", m.Raw)
			assertNoKey(t, m.Raw, key)
			if i > 0 && m.Index != 0 && a.Messages[i-1].Index != 0 {
				require.LessOrEqual(t, a.Messages[i-1].Index, m.Index)
			}
			again, err := gms.Parse([]byte(`{"statusCode":0,"messages":[`+string(m.Raw)+`]}`), true, secret)
			require.NoError(t, err)
			require.Len(t, again.Messages, 1)
			m.Idle, again.Messages[0].Idle = nil, nil // the answer's count-down may tell it
			require.Equal(t, m, again.Messages[0])
		}
		for _, e := range a.Errors {
			assert.NotContains(t, e.Code+e.Advice, key)
		}
	})
}

// assertSameAsEncodingJSON compares what was found with what encoding/json finds in the raw answer.
func assertSameAsEncodingJSON(t *testing.T, a gms.Answer) {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a.Raw, &members))
	var id string
	if json.Unmarshal(members["chatId"], &id) == nil {
		assert.Equal(t, id, a.Session.ID)
	}
	var lines []json.RawMessage
	if json.Unmarshal(members["messages"], &lines) != nil {
		assert.Empty(t, a.Messages)
		return
	}
	var want, got []string
	for _, raw := range lines {
		var line map[string]json.RawMessage
		if json.Unmarshal(raw, &line) == nil && line != nil {
			want = append(want, string(line["type"])+string(raw))
		}
	}
	for _, m := range a.Messages {
		kind := string(m.Kind)
		var line map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(m.Raw, &line))
		var s string
		if json.Unmarshal(line["type"], &s) == nil {
			assert.Equal(t, s, kind)
		}
		got = append(got, string(line["type"])+string(m.Raw))
	}
	assert.ElementsMatch(t, want, got)
}

// assertNoKey looks for the key in every string of a JSON value.
func assertNoKey(t *testing.T, raw []byte, key string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if err != nil {
			return
		}
		if s, ok := token.(string); ok {
			assert.NotContains(t, s, key)
		}
	}
}

// The alert's own seconds count, else those of the answer that brought it (wire-gms A.3).
func TestParseIdleAlert(t *testing.T) {
	for name, tt := range map[string]struct {
		data, countdown string
		want            chat.IdleAlert
	}{
		"own":          {`{"next-idle-timer-type":"CLOSE","next-idle-timer-secs":"45"}`, "9", chat.IdleAlert{After: 45 * time.Second, Closing: true}},
		"number":       {`{"next-idle-timer-secs":45}`, "9", chat.IdleAlert{After: 45 * time.Second}},
		"the answer's": {`{"next-idle-timer-type":"CLOSE"}`, "90", chat.IdleAlert{After: 90 * time.Second, Closing: true}},
		"as text":      {"null", `"30"`, chat.IdleAlert{After: 30 * time.Second}},
		"none":         {"null", "null", chat.IdleAlert{}},
		"nonsense":     {"null", `{"a":1}`, chat.IdleAlert{}},
		"negative":     {"null", "-4", chat.IdleAlert{}},
		"too much":     {`{"next-idle-timer-secs":"1e300"}`, "9", chat.IdleAlert{}},
	} {
		a, err := gms.Parse([]byte(`{"statusCode":0,"idleTimerExpire":`+tt.countdown+`,"messages":[{"index":1,"type":"IdleAlert","userData":`+tt.data+`}]}`), true)
		require.NoError(t, err, name)
		require.Len(t, a.Messages, 1, name)
		assert.Equal(t, &tt.want, a.Messages[0].Idle, name)
	}
}
