package bus

import (
	"context"
	"reflect"
	"strings"
	"time"
)

// DataOf describes one value of a plugin's data store (cxbus 3, data): its full
// name "Namespace.key", its meaning and its type. A description is immutable
// and belongs in a package variable. The owner of the namespace sets it,
// anybody reads it and waits for it.
//
// A change is the event "Namespace.data.key" with a [DataChange]. It is
// retained, so a subscription begins with the value there is, and a subscriber
// sees every change, once and in order. CXBus also publishes an event per value
// ("data.key:true"), an unbounded number of names; [DataOf.Wait] takes its
// place (cxbus 10, row 38).
type DataOf[T any] struct{ name, doc string }

// NewData describes the value with the full name name ("WebChat.open").
func NewData[T any](name, doc string) DataOf[T] { return DataOf[T]{name, doc} }

// Name returns the full name.
func (d DataOf[T]) Name() string { return d.name }

// Doc returns the meaning.
func (d DataOf[T]) Doc() string { return d.doc }

// DataChange is the payload of a data event.
type DataChange struct {
	Last  any       `json:"last"`  // nil if there was none
	Value any       `json:"value"` // nil if it was deleted
	Time  time.Time `json:"time"`

	has bool // Value is one
}

// Changed describes the event that a change of d publishes.
func (d DataOf[T]) Changed() EventOf[DataChange] {
	ns, key, _ := splitName(d.name)
	return NewEvent[DataChange](ns+".data."+key, "The value "+d.name+" changed (retained).")
}

// Set sets the value and publishes the change, unless it is equal to the one
// there is. It returns what [EventOf.Bind] and [Publisher.Publish] return.
func (d DataOf[T]) Set(c *Client, v T) error {
	_, err := d.change(c, func(any, bool) (any, bool, bool) { return v, true, true })
	return err
}

// CompareAndSet sets the value to v if it is equal to old, and reports whether
// it was.
func (d DataOf[T]) CompareAndSet(c *Client, old, v T) (bool, error) {
	return d.change(c, func(is any, has bool) (any, bool, bool) {
		return v, true, has && reflect.DeepEqual(is, any(old))
	})
}

// Delete removes the value and publishes the change, if there was one.
func (d DataOf[T]) Delete(c *Client) error {
	_, err := d.change(c, func(any, bool) (any, bool, bool) { return nil, false, true })
	return err
}

// change applies f, which gets the value there is and returns the next, whether
// that is one, and whether to go on; it reports the latter.
func (d DataOf[T]) change(c *Client, f func(is any, has bool) (v any, keep, ok bool)) (bool, error) {
	p, err := d.Changed().Bind(c)
	if err != nil {
		return false, err
	}
	t, done := p.topic(), false
	ok, err := t.swap(context.Background(), c, kindOf[DataChange]{}, func(old any, has bool) (any, bool) {
		was, _ := old.(DataChange)
		v, keep, ok := f(was.Value, has && was.has)
		if done = ok; !ok || keep == was.has && reflect.DeepEqual(v, was.Value) {
			return nil, false
		}
		return DataChange{was.Value, v, time.Now(), keep}, true
	})
	if !ok { // c went down meanwhile, and the name with it: Bind says so
		return d.change(c, f)
	}
	return done, err
}

// Get returns the value, or false if there is none. c may be any client.
func (d DataOf[T]) Get(c *Client) (T, bool) {
	var zero T
	t := c.bus.topics.get(d.Changed().name)
	if t == nil {
		return zero, false
	}
	t.retain.Lock()
	defer t.retain.Unlock()
	change, _ := t.value.(DataChange)
	return valueOf[T](change)
}

// valueOf returns the value of a change, which may be a nil interface, or false
// if it was deleted or is of another type.
func valueOf[T any](change DataChange) (T, bool) {
	v, ok := change.Value.(T)
	if change.Value == nil {
		ok = reflect.TypeFor[T]().Kind() == reflect.Interface
	}
	return v, ok && change.has
}

// Wait returns as soon as there is a value that match accepts; a nil match
// accepts every one. match must be quick. It returns what [Client.WaitFor]
// returns.
func (d DataOf[T]) Wait(ctx context.Context, c *Client, match func(T) bool) (T, error) {
	e, err := c.waitFor(ctx, d.Changed().name, func(e Event[any]) bool {
		change, _ := e.Data.(DataChange)
		v, ok := valueOf[T](change)
		return ok && (match == nil || match(v))
	})
	if err != nil {
		var zero T
		return zero, err
	}
	v, _ := valueOf[T](e.Data.(DataChange))
	return v, nil
}

// Data returns a copy of the data store of a namespace by key; the values
// themselves are shared.
func (c *Client) Data(namespace string) map[string]any {
	list := map[string]any{}
	owner := c.bus.client(namespace)
	if owner == nil {
		return list
	}
	for member, o := range owner.events.all() {
		key, ok := strings.CutPrefix(member, "data.")
		if !ok {
			continue
		}
		t := o.topic()
		t.retain.Lock()
		if change, ok := t.value.(DataChange); ok && change.has {
			list[key] = change.Value
		}
		t.retain.Unlock()
	}
	return list
}
