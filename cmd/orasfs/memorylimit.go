package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/orasfs/orasfs/cache"
)

// ownMemory is what the process may have beside --memory before the garbage
// collector works harder, in bytes; its code, which isn't Go's memory, comes on top.
const ownMemory = 16 << 20

// limitMemory makes the garbage collector work harder as the process nears what
// --memory allows, and ownMemory. Without a limit the heap would grow to twice
// what the cache holds, since GOGC is 100. GOMEMLIMIT in the environment wins.
//
// Most of what is held are bytes without pointers, so that a collection costs little.
//
// What the kernel makes a mount remember, a node for each name that it has looked
// up and not forgotten, isn't --memory's to bound. With a fixed limit the collector
// would run without a pause once that alone is near it, and so it would with many
// fetches on their way. So the limit follows what is live: a quarter more, if that is
// more. And since each collection goes through all of those names, there may be as many
// bytes between two of them as there are live beyond the limit.
func limitMemory(o cache.Options) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	least := o.Memory + ownMemory
	debug.SetMemoryLimit(least)
	afterCollection(func() { debug.SetMemoryLimit(limitOf(least, liveBytes())) })
}

// limitOf is the limit when so many bytes are live.
func limitOf(least, live int64) int64 { return max(least, live+live/4, live+(live-least)) }

// liveBytes is what the last collection left of the heap, and all that isn't the
// heap's: the limit is of both (runtime/debug.SetMemoryLimit).
func liveBytes() int64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	live := int64(0)
	for i, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			continue
		}
		n := int64(s.Value.Uint64()) //nolint:gosec // no process has so much
		if i >= 2 {                  // the heap's parts are not counted again
			n = -n
		}
		live += n
	}
	return live
}

// afterCollection calls f after each garbage collection.
func afterCollection(f func()) {
	object := new([16]byte) // large enough not to share its block with others
	runtime.AddCleanup(object, func(f func()) {
		f()
		afterCollection(f)
	}, f)
}
