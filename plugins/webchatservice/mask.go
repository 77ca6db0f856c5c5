package webchatservice

import (
	"bytes"
	"encoding/json"
	"regexp"

	"github.com/cxbus/cxbus/plugins/webchatservice/chat"
)

// setMasks sets what is hidden from now on.
func (h *hooks) setMasks(masks []*regexp.Regexp) {
	if len(masks) == 0 {
		h.masks.Store(nil)
		return
	}
	h.masks.Store(&masks)
}

// mask hides in a text what must not be seen.
func (h *hooks) mask(text string) string {
	if masks := h.masks.Load(); masks != nil {
		for _, re := range *masks {
			text = re.ReplaceAllLiteralString(text, "***")
		}
	}
	return text
}

// maskJSON hides it in all texts of a JSON value. What it does not touch comes back as it was.
func (h *hooks) maskJSON(raw chat.JSON) chat.JSON {
	if h.masks.Load() == nil || len(raw) == 0 {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	if v, changed := h.maskValue(v); changed {
		out, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return out
	}
	return raw
}

// maskMap hides it in all texts of a map, which it leaves as it is.
func (h *hooks) maskMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return m
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	masked := h.maskJSON(raw)
	if bytes.Equal(masked, raw) {
		return m
	}
	out, err := withDigits(masked)
	if err != nil {
		return nil
	}
	all, _ := out.(map[string]any)
	return all
}

func (h *hooks) maskValue(v any) (masked any, changed bool) {
	switch v := v.(type) {
	case string:
		m := h.mask(v)
		return m, m != v
	case []any:
		for i := range v {
			m, c := h.maskValue(v[i])
			v[i], changed = m, changed || c
		}
	case map[string]any:
		for k := range v {
			m, c := h.maskValue(v[k])
			v[k], changed = m, changed || c
		}
	}
	return v, changed
}
