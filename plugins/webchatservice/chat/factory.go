package chat

import (
	"reflect"
	"slices"
)

// Selection is what a configuration says about the wire that it wants.
type Selection struct {
	// Transport is webchat.transport.type; "" is the vendor's default transport.
	Transport string
	// CometD is webchat.cometD.enabled. It is false where a Transport is named.
	CometD bool
}

// Factory makes drivers of one wire for those who choose the wire by configuration: it knows the options of the wire and
// what selects it. Make one with [NewFactory]. It is immutable, and its methods may be called from many goroutines.
type Factory struct {
	// Name names the wire: "gms", "gms-cometd".
	Name string

	selects []Selection
	config  reflect.Type
	make    func(config any, o *Options) (Driver, error)
}

// NewFactory returns a Factory whose drivers the function driver makes. Configurations that say one of selects get them.
//
// C is the wire's own struct of options. The zero value of each field means the default. Its tags tell how a
// configuration names the option, and what it may be:
//
//	json:"pollRate"   its name; "-" hides the field
//	group:"transport" the group of the webchat section that it stands in; without it, the section itself
//	default:"3000"    what a zero value means ([WithDefaults]), in the unit
//	unit:"ms"         unit of a number, for people; for a time.Duration one of ms (which is the default), s, min, h
//	min:"1000"        smallest number allowed in a configuration, in the unit
//	max:"30000"       largest
//	oneof:"a,b"       the strings allowed
//	accept:"number"   a text or secret that may be written as a number
//	doc:"..."         meaning
//
// Fields are booleans, numbers, strings, [time.Duration], [Secret], slices, maps with string keys, pointers to these, any,
// and types that implement [encoding/json.Unmarshaler]. The fields of an embedded struct count as C's own. NewFactory panics
// if C is no such struct.
//
// The function driver does not touch the network. Its error is an [*Error] with code invalid that names the option. If C has
// a method Validate() error, it is called when a configuration is read, before there is need for a driver; it should say
// which options do not go together, and driver should call it, too.
func NewFactory[C any, D Driver](name string, driver func(C, *Options) (D, error), selects ...Selection) Factory {
	t := reflect.TypeFor[C]()
	fillDefaults(reflect.New(t).Elem()) // a wrong tag is found now
	return Factory{
		Name: name, selects: slices.Clone(selects), config: t,
		make: func(config any, o *Options) (Driver, error) {
			d, err := driver(*config.(*C), o)
			if err != nil {
				return nil, err // and not an interface with a nil pointer in it
			}
			return d, nil
		},
	}
}

// Selects reports whether a configuration that says s wants this wire.
func (f Factory) Selects(s Selection) bool { return slices.Contains(f.selects, s) }

// Selections returns a new list of what selects this wire.
func (f Factory) Selections() []Selection { return slices.Clone(f.selects) }

// Config returns a pointer to a new zero struct of the wire's options, to be filled in and given to New.
func (f Factory) Config() any { return reflect.New(f.config).Interface() }

// New makes a driver for what Config returned.
func (f Factory) New(config any, o *Options) (Driver, error) { return f.make(config, o) }
