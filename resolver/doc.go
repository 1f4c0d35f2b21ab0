// Package resolver answers what a reference is and where its bytes are: it
// parses references and manifests, lists repositories and tags, resolves tags
// to digests, finds the right credentials, and reads exact byte ranges of a
// blob from a registry.
//
// It keeps no bytes: what it returns is held by the caller. It knows neither
// the file system nor the cache.
//
// Everything but exact ranges is done by oras-go. A [Registry] is a client of
// one registry, a [Repository] of one of its repositories; both are safe for
// concurrent use. Errors wrap oras-go's sentinels (errdef.ErrNotFound,
// errdef.ErrUnsupported) and *errcode.ErrorResponse, so that a caller can tell
// what happened with errors.Is and errors.As, and never contain a credential.
package resolver
