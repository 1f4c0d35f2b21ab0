// Package resolver answers what a reference is and where its bytes are: it
// parses references and manifests, lists repositories, tags and referrers,
// resolves tags to digests, finds the right credentials, and reads exact byte
// ranges of a blob from a registry.
//
// It keeps no bytes: what it returns is held by the caller. It knows neither
// the file system nor the cache.
//
// A [Registry] is a client of one registry, a [Repository] of one of its
// repositories, a [Blob] of one blob; all are safe for concurrent use. oras-go
// lists, authenticates and finds credentials. What it can't do is here: ranges
// that are exact or an error, redirects that are remembered, a deadline for
// every request that holds while there is progress, and a Retry-After that is
// heeded.
//
// An operation on metadata ends within three times Options.Timeout. A request
// is sent again after a failure that may pass: at most five times, once after
// a timeout. Credentials go to the registry's origin and its token service,
// never along a redirect to another.
//
// Errors wrap oras-go's sentinels (errdef.ErrNotFound, errdef.ErrUnsupported,
// errdef.ErrInvalidReference, errdef.ErrSizeExceedsLimit) and
// *errcode.ErrorResponse, so that a caller can tell what happened with
// errors.Is and errors.As. A timeout is context.DeadlineExceeded. None contains
// a credential, the query of an address that a registry redirects to included.
package resolver
