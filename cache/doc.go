// Package cache answers "give me these bytes of this digest": from memory, from
// disk, or fetched once however many ask; verified, read ahead, and evicted.
//
// It doesn't know what a registry or a FUSE request is: bytes come in through
// a [Fetcher] and go out through a [Reader]. Retries, connections and what a host
// is up to are the fetcher's.
//
// # Who answers what
//
//	which content of a blob it is    tables.go, table.go
//	whether it may be believed       trust.go, and hashing.go, which finds out and
//	                                 tells a fetcher with several sources ([Chooser]);
//	                                 doubt.go where somebody else has found out
//	what is fetched next             plan.go; fill.go where all of a blob is wanted
//	one request                      run.go; stream.go where there are no ranges, and
//	                                 firstanswer.go where nobody knows
//	who of several processes asks    share.go, and the claims it stands on
//	what is on disk, in which form   store.go, sums.go; stores.go finds and opens it
//	what a table has to do with that attachment.go, ondisk.go
//	what is written, and when not    queue.go, disk.go
//	what goes when there's no room   room.go, usage.go
//	what is held in memory           memory.go, and latest.go where that is small
//	blobs of at most 4 MiB           small.go; documents are such
//	who waits for what, how long     flight.go
//	what was counted                 stats.go
//	what is on its way now           fetching.go
//	what of a blob is kept           here.go; and how much may be
//	what a directory holds, by hand  directory.go; rehash.go, whether it is right
//
// It also keeps what others make of blobs: bytes in memory (Keep), indexes on
// disk (PutIndex), and blobs that are other ones unpacked ([Unpacker]). Memory that
// its user needs for something else is lent ([Cache.Lend]).
//
// # What holds
//
// No reader has all bytes of a blob with success unless they match its digest. A
// blob of at most 4 MiB is verified before its first byte, a larger one before its
// last chunk is handed out, unless its reader has digests of its own
// ([Blob.Checked]); what came from one origin is never given as another's
// before that. A content that turns out to be wrong is gone from memory and disk
// before anybody is told, and the next one has another [Blob.Generation].
//
// A reader waits for twice Options.Timeout at most, and not at all once its context
// ends, whatever the fetcher or the disk does. No lock is held meanwhile.
//
// Memory is Options.Memory, 16 MiB of what was kept last, and some bytes for each
// chunk that was met. The disk
// holds Options.Size at most, for all processes that use the directory, and 5 % of
// its file system stay free. What is in it may be removed or damaged at any time,
// and the process killed: that costs fetches.
package cache
