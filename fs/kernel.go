package fs

import (
	"log"
	"log/slog"
	"os"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// requestSize is the largest request of the kernel, in bytes: what it sends
// unless fs.fuse.max_pages_limit is raised. Then it could be more, but each
// doubling is slower: buffers of that size leave the processor's caches.
const requestSize = fuse.MAX_KERNEL_WRITE

// kernelOptions are how the kernel and go-fuse work with a mount, each for a
// reason.
func (t *tree) kernelOptions(o *Options) *fusefs.Options {
	negative := min(o.TagTTL, maxNegative)
	var debug *log.Logger
	if o.Debug {
		debug = slog.NewLogLogger(t.log.Handler(), slog.LevelDebug)
	}
	// With it the mount counts as stacked, and then no overlay can stand on an
	// overlay of it, nor EROFS on a file in it, whether or not it is used. go-fuse
	// takes it unasked.
	var disabled uint64
	if !t.passthrough {
		disabled |= fuse.CAP_PASSTHROUGH
	}
	return &fusefs.Options{
		// Positive answers say for themselves how long they hold.
		NegativeTimeout: &negative,
		// Modes are what they are, 0000 too.
		NullPermissions: true,
		Logger:          slog.NewLogLogger(t.log.Handler(), slog.LevelWarn),
		MountOptions: fuse.MountOptions{
			AllowOther: o.AllowOther,
			Options:    append([]string{"ro", "nosuid", "nodev"}, o.MountOptions...),
			FsName:     o.source(),
			Name:       "orasfs",
			MaxWrite:   requestSize,
			// Splicing needs a larger pipe than the kernel gives for requests
			// of that size; replies from memory are as fast without.
			DisableSplice: true,
			// Reads ahead of the kernel that may be on their way at once: the
			// default, 12, starves parallel readers of a slow registry.
			MaxBackground: 64,
			// What a digest names never changes: only we know when pages go.
			ExplicitDataCacheControl: true,
			// A storm of forgets must not take memory without bound.
			MaxInflightRequestBytes: 64 << 20,
			// Root mounts without fusermount3, and falls back to it.
			DirectMount:      os.Geteuid() == 0,
			DirectMountFlags: mountFlags,
			PanicHandler:     t.panicStatus,

			DisabledCapabilities: disabled,
			Debug:                o.Debug,
			Logger:               debug,
		},
	}
}
