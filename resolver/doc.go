// Package resolver answers what a reference is and where its bytes are: it
// parses references and manifests, lists repositories, tags and referrers,
// resolves tags to digests, finds the right credentials, and reads exact byte
// ranges of a blob, from a registry or from an OCI image layout on the local
// disk.
//
// It keeps no bytes: what it returns is held by the caller. It knows neither
// the file system nor the cache.
//
// A [Source] is what a repository's content comes from: a [Repository] or a
// [Layout], which a user can't tell apart.
//
// A [Registry] is a client of one registry, a [Repository] of one of its
// repositories, a [Blob] of one blob; all are safe for concurrent use. oras-go
// lists, authenticates and finds credentials. What it can't do is here: ranges
// that are exact or an error, redirects that are remembered, and what is known
// of a host.
//
// What is there is decided by evidence: evidence.go has the table, met.go what has
// given something. Who an error is about (the registry, its token service, a proxy,
// where it redirects to) says party.go.
//
// An answer is judged by its bytes, and once: what kind a document is (documenttype.go),
// which of its descriptors are any (part.go), which bytes of a blob came
// (answer.go), and whether a document, list or token came compressed (inflate.go).
// Headers can only contradict them. Where a range can't be had the whole blob is
// asked for, and where HEAD of a manifest is refused, GET (heads.go).
//
// A host is a scheme, name and port: the registry's, one that it redirects to,
// or its token service. Each has its own connections and slots (slots.go, and
// place.go, which tells when an answer is near its end), so that none holds up
// another. What it asks for with Retry-After is kept, for five minutes
// at most; a denial is remembered for a second. A host that gave no answer is
// down: requests to it fail at once, while it is asked in the background, once a
// second, whether it is back. [Registry.Close] ends that.
//
// What hosts are asked, and how that goes, a [Traffic] counts (traffic.go), and it knows
// which of them can't be asked now (hoststate.go).
//
// An operation on metadata ends within twice Options.Timeout, and so does what a
// reader of a blob waits for ([Blob.Fetch]). A request is sent again after a
// failure that may pass: at most five times, once after a stall. Credentials go
// to the registry's origin and its token service, never along a redirect to
// another, and no redirect leads to this machine or its network's own addresses
// unless the registry is there. None leads from https to http, but for blobs with
// Options.Insecure.
//
// Options.HostsDir says, as containerd has it, which hosts are asked for a registry
// before it, and how each is: mirrors.go has them, read from the disk by hostsdir.go
// and hostsfile.go, and way.go decides who is asked (address.go: where). A mirror is a client of its own,
// so that nothing of the registry's reaches it: no credential, header or certificate
// of the user's, but those that are configured for the mirror's host. It is told which
// registry is meant (?ns=). It is asked for a tag, a size or the bytes of a digest only
// if it may be; for a list never, for what it leaves out says nothing. What a digest
// proves is compared with it: of a document and a small blob before anybody gets it, of
// a larger one by whoever has all of it, who tells ([Blob.PassOver]). What a part of
// a blob may cost there is unsure, so that who reads it asks for one first
// ([Blob.Unsure]). What nothing proves, a tag's digest and a blob's size, is believed of
// who may resolve tags.
//
// A mirror that fails, in whatever way, is passed over, and the next host asked, the
// registry last; its error is the one that counts. A blob stays with the host that
// serves it, and goes on at the next one from the byte that it had come to. A mirror
// has a quarter of Options.Timeout for an answer and no retries, and none is begun with
// once half of what a caller waits at most is over. One that let somebody wait in vain
// isn't asked for a minute, and for twice as long each time, 16 minutes at most; one
// that gave other bytes than those of a digest for five. A registry that is down is as
// good as up where a mirror answers that may resolve its tags.
//
// All that is read again when it changes, within two seconds of the next question, and
// at once by [Registry.Reload]: what hosts.toml says, its certificates, and
// Options.CAFile. Then all clients are made anew. Credentials and Options.CertFile are
// read whenever they are needed. What is broken is told in the log once, and what was
// read before holds.
//
// A Layout is a folder or a tar, what docker save writes included. It is
// believed as little as a registry: no link leads out of it, what isn't a
// regular file isn't opened, and no size that it tells is allocated. It keeps
// where the files of a tar are, at most 100,000, and what index.json says, at
// most 4 MiB. To find referrers it reads at most 10,000 manifests of 64 MiB
// together, once, and keeps the descriptors of those that refer to another. It
// waits only for an index.json that is being written, at most 40 milliseconds.
//
// The headers and the client certificate that a user has go to the registry's
// origin, and not with a request that another host has sent there. Who failed where
// several take part, the registry, its token service, where it redirects to, a proxy,
// an error's text says, and [PartyOf].
//
// Errors wrap oras-go's sentinels (errdef.ErrNotFound, errdef.ErrUnsupported,
// errdef.ErrInvalidReference, errdef.ErrSizeExceedsLimit) and
// *errcode.ErrorResponse, so that a caller can tell what happened with
// errors.Is and errors.As. A timeout is context.DeadlineExceeded. None contains
// a credential, the query of an address that a registry redirects to included.
package resolver
