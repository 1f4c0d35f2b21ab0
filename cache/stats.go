package cache

import "sync/atomic"

// Stats are the counters of a cache since it was opened.
type Stats struct {
	MemoryHits   int64 // chunks and documents found in memory
	DiskHits     int64 // chunks and documents read from disk
	Misses       int64 // chunks and documents that a reader had to wait for: they were nowhere here
	Fetches      int64 // bodies asked for
	FetchedBytes int64 // bytes that arrived
	AheadBytes   int64 // bytes asked for by read-ahead
	WrongDigests int64 // blobs and documents dropped because they don't match their digest
	WrongOnDisk  int64 // chunks and files on disk whose checksum was wrong
	Evictions    int64 // blobs, partial blobs and documents evicted from disk
	EvictedBytes int64 // that those took
	MemoryBytes  int64 // held in memory now
	DiskBytes    int64 // bytes on disk now, of all who use the directory
	DiskLimit    int64 // Options.Size; 0 without a disk
}

type counters struct {
	memoryHits, diskHits, misses, fetches, fetchedBytes, aheadBytes,
	wrongDigests, wrongOnDisk, evictions, evictedBytes atomic.Int64
}

// Stats are the counters now.
func (c *Cache) Stats() Stats {
	s := Stats{
		MemoryHits:   c.counts.memoryHits.Load(),
		DiskHits:     c.counts.diskHits.Load(),
		Misses:       c.counts.misses.Load(),
		Fetches:      c.counts.fetches.Load(),
		FetchedBytes: c.counts.fetchedBytes.Load(),
		AheadBytes:   c.counts.aheadBytes.Load(),
		WrongDigests: c.counts.wrongDigests.Load(),
		WrongOnDisk:  c.counts.wrongOnDisk.Load(),
		Evictions:    c.counts.evictions.Load(),
		EvictedBytes: c.counts.evictedBytes.Load(),
		MemoryBytes:  c.memory.held() + c.latest.held(),
	}
	if c.disk != nil {
		s.DiskBytes = c.disk.usage.now()
		s.DiskLimit = c.disk.limit
	}
	return s
}
