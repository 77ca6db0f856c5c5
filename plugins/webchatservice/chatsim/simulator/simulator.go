// Package simulator makes simulated chat servers that speak every wire, for whoever just wants one.
//
//	sim := simulator.New(&chatsim.Options{Script: chatsim.Nobody})
//	defer sim.Close()
//	client := myclient.New(gmssim.URL(sim), sim.Client())
//
// A wire with options of its own is given among the faces; the others are added with their defaults:
//
//	sim := simulator.New(&chatsim.Options{Faces: []chatsim.Face{cometdsim.New(&cometdsim.Options{Nodes: 3})}})
package simulator

import (
	"slices"

	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/cometdsim"
	"github.com/cxbus/cxbus/plugins/webchatservice/chatsim/gmssim"
)

// New starts a server with the faces of opts and, of every other wire, the face with its defaults; nil means
// defaults for all. Close it. It panics where [chatsim.New] does. opts is not changed.
func New(opts *chatsim.Options) *chatsim.Server {
	var o chatsim.Options
	if opts != nil {
		o = *opts
	}
	o.Faces = slices.Clone(o.Faces)
	for i, f := range All() {
		if j := slices.IndexFunc(o.Faces, func(g chatsim.Face) bool { return g.Name() == f.Name() }); j >= 0 {
			f = o.Faces[j]
			o.Faces = slices.Delete(o.Faces, j, j+1)
		}
		o.Faces = slices.Insert(o.Faces, i, f) // in the order of All: one may need another
	}
	return chatsim.New(&o)
}

// All returns the face of every wire, new and with its defaults.
func All() []chatsim.Face {
	return []chatsim.Face{gmssim.New(nil), cometdsim.New(nil)}
}
