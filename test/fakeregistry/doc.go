// Package fakeregistry is an OCI registry in memory for tests: an http.Handler
// that serves what a test puts into it, answers wrongly where a test asks for
// it, and remembers every request.
//
//	registry := fakeregistry.New()
//	desc := registry.AddBlob("app", content)
//	server := httptest.NewServer(registry)
//	defer server.Close()
//
//	remove := registry.Inject(fakeregistry.Fault{Path: "/blobs/", Status: 500, Times: 2})
//	…
//	registry.Count("GET", "/blobs/"+desc.Digest.String())
//
// It serves the pull part of the distribution specification (version 1.1):
// /v2/, the catalog, tags, manifests, blobs with ranges, and referrers where
// some were added. It takes no pushes, checks nothing that a test adds, and is
// for tests only.
//
// A [Fault] says which requests it meets, how often, and what is wrong with
// the answer. A [Listing] makes the catalog and the tags answer as lesser
// registries do. [Registry.RequireBasic] and [Registry.RequireBearer] close
// the registry; bearer tokens come from /token of the same handler, for all
// repositories or, after [Registry.Deny], for some. A [CDN] is a second handler,
// for another host, that the registry redirects blobs to.
package fakeregistry
