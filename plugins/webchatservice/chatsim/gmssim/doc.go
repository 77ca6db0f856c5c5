// Package gmssim is the face of Genesys Mobile Services on a simulated chat server: the Chat API, version 2, over REST.
//
//	sim := simulator.New(&chatsim.Options{Faces: []chatsim.Face{
//		gmssim.New(&gmssim.Options{Quirks: gmssim.Quirks{Terse: true}}),
//	}})
//	defer sim.Close()
//	client := myclient.New(gmssim.URL(sim), sim.Client())
//
// A client under test needs [New], [URL], [Options], [Quirks] and [Fault]. The rest of the package is what the REST
// interface shares with the other interfaces of a GMS: its operations ([Face.Start], [Face.Perform]), and its
// response object ([Answer]). Package cometdsim is built on that.
package gmssim
