package bus

import (
	"context"
)

// The commands that every plugin answers once it is ready (cxbus 3). A plugin
// cannot register them itself.
const (
	builtinCommands = "COMMANDS" // the full names of its commands, []string
	builtinEvents   = "EVENTS"   // the full names of its declared events, []string
	builtinLoad     = "LOAD"     // nothing; calling it makes [Options.Loader] bring the plugin
)

func isBuiltin(member string) bool {
	return member == builtinCommands || member == builtinEvents || member == builtinLoad
}

// builtin makes the built-in command of a plugin.
func (c *Client) builtin(member string) *command {
	h := &handler[any, any]{plain: func(context.Context, any) (any, error) {
		if member == builtinLoad {
			return nil, nil
		}
		names := []string{}
		info := c.info()
		if member == builtinCommands {
			for _, k := range info.Commands {
				names = append(names, k.Name)
			}
			return names, nil
		}
		for _, e := range info.Events {
			names = append(names, e.Name)
		}
		return names, nil
	}}
	k := &command{name: c.namespace + "." + member, owner: c, h: h}
	h.bindTo(k)
	return k
}
