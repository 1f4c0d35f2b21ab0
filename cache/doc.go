// Package cache answers "give me these bytes of this digest": chunks of blobs
// in memory and on disk, one fetch for a chunk however many ask, read-ahead,
// verification and eviction.
//
// It also keeps what others make of blobs: bytes in memory (Keep), indexes on
// disk (PutIndex), and blobs that are other ones unpacked ([Unpacker]).
//
// It doesn't know what a registry or a FUSE request is: bytes come in through
// a [Fetcher] and go out through a [Reader].
package cache
