package fs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/resolver"
)

// Defaults of Options.
const (
	DefaultTagTTL   = time.Minute
	DefaultMaxStale = 24 * time.Hour
	DefaultTimeout  = 30 * time.Second
)

// Options say what to mount where. Mountpoint, Cache, and one of Registry, Layout
// and Connect are needed.
type Options struct {
	Mountpoint string
	// Registry is the one that is mounted.
	Registry *resolver.Registry
	// Layout is mounted as a repository. It must be open until the file system is
	// unmounted.
	Layout *resolver.Layout
	// Connect makes the client of a registry when its host is named, where every
	// registry is mounted.
	Connect func(host string) (*resolver.Registry, error)
	// Prefix is the namespace or repository that the root shows; "" is the
	// whole registry.
	Prefix string
	// Reference is a tag or a digest of the repository Prefix, or of Layout: then the root
	// shows that artifact alone, as View says.
	Reference string
	View      View
	Cache     *cache.Cache
	// Platform is the one whose manifest an index shows as its own; the zero
	// value is linux on the host's architecture.
	Platform ocispec.Platform

	// TagTTL is how long a tag, and a name, holds before it is asked for again.
	TagTTL time.Duration
	// MaxStale is how long a tag's last digest is used while the registry can't
	// be reached.
	MaxStale time.Duration
	// Timeout is the registry client's; no operation takes more than three
	// times as long.
	Timeout time.Duration

	AllowOther   bool
	MountOptions []string // the kernel's, as after mount's -o
	Debug        bool     // log each request of the kernel
	Log          *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Platform.OS == "" {
		o.Platform.OS = "linux"
	}
	if o.Platform.Architecture == "" {
		o.Platform.Architecture = runtime.GOARCH
	}
	if o.TagTTL == 0 {
		o.TagTTL = DefaultTagTTL
	}
	if o.MaxStale == 0 {
		o.MaxStale = DefaultMaxStale
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// A Server is a mounted file system.
type Server struct {
	mountpoint string
	fuse       *fuse.Server
	tree       *tree

	over     chan struct{}
	overOnce sync.Once
}

// Mount mounts a registry and returns once the mount answers. The mount lives
// until Unmount, or until somebody else unmounts it; the context ends with it
// at the latest.
//
// If the prefix or the reference is one that the registry doesn't have, the
// error is errdef.ErrNotFound.
func Mount(ctx context.Context, o Options) (*Server, error) {
	o.setDefaults()
	t := newTree(ctx, o)
	root, id, err := t.root(ctx, o)
	if err != nil {
		t.close()
		return nil, err
	}
	s := &Server{mountpoint: o.Mountpoint, tree: t, over: make(chan struct{})}
	options := o.fuse()
	options.RootStableAttr = &id
	server, err := fusefs.Mount(o.Mountpoint, root, options)
	if err != nil {
		t.close()
		return nil, fmt.Errorf("mount %s: %w", o.Mountpoint, err)
	}
	s.fuse = server
	go func() {
		server.Wait()
		s.end()
	}()
	return s, nil
}

// fuse are the options of go-fuse, each for a reason.
func (o *Options) fuse() *fusefs.Options {
	negative := min(o.TagTTL, maxNegative)
	var debug *log.Logger
	if o.Debug {
		debug = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	}
	return &fusefs.Options{
		// Positive answers say for themselves how long they hold.
		NegativeTimeout: &negative,
		// Modes are what they are, 0000 too.
		NullPermissions: true,
		Logger:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		MountOptions: fuse.MountOptions{
			AllowOther: o.AllowOther,
			Options:    append([]string{"ro", "nosuid", "nodev"}, o.MountOptions...),
			FsName:     o.source(),
			Name:       "orasfs",
			// The largest request that the kernel sends.
			MaxWrite: fuse.MAX_KERNEL_WRITE,
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
			Debug:            o.Debug,
			Logger:           debug,
		},
	}
}

// owner is who owns the files: whoever mounted.
func (o *Options) owner() fuse.Owner {
	return fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())} //nolint:gosec // ids are never negative on Unix
}

// end ends what the tree has begun, once.
func (s *Server) end() {
	s.overOnce.Do(func() {
		s.tree.close()
		close(s.over)
	})
}

// Wait waits until the file system is unmounted, by whomever.
func (s *Server) Wait() {
	<-s.over
}

// Unmount unmounts. If the mount is busy, it is taken out of the tree of files
// at once, and programs that still have files of it open get errors. Either
// way nothing is served after it returns nil.
func (s *Server) Unmount() error {
	err := s.fuse.Unmount()
	if err != nil {
		if lazy := detach(s.mountpoint); lazy != nil {
			return fmt.Errorf("unmount %s: %w", s.mountpoint, errors.Join(err, lazy))
		}
		s.tree.log.Warn("the mount was busy and has been detached", "mountpoint", s.mountpoint)
	}
	s.end()
	return nil
}
