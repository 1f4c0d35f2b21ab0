package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/signed"
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
	// Mountpoint is an absolute path without symbolic links, as the kernel's table
	// of mounts shows it.
	Mountpoint string
	// Registry is the one that is mounted.
	Registry *resolver.Registry
	// Layout is mounted as a repository. It must be open until the file system is
	// unmounted.
	Layout *resolver.Layout
	// Connect makes the client of a registry when its host is named, where every
	// registry is mounted.
	Connect func(ctx context.Context, host string) (*resolver.Registry, error)
	// Prefix is the namespace or repository that the root shows; "" is the
	// whole registry.
	Prefix string
	// Reference is a tag or a digest of the repository Prefix, or of Layout: then the root
	// shows that artifact alone, as View says.
	Reference string
	View      View
	// Follow has the root show what the tag Reference of Registry means from time to
	// time, and not for ever what it means when it is mounted.
	Follow bool
	Cache  *cache.Cache
	// Platform is the one whose manifest an index shows as its own; the zero
	// value is linux on the host's architecture.
	Platform ocispec.Platform

	// TagTTL is how long a tag, and a name, holds before it is asked for again.
	TagTTL time.Duration
	// MaxStale is how long a tag's last digest is used while the registry can't
	// be reached.
	MaxStale time.Duration
	// Timeout is the registry client's; no operation takes more than twice as
	// long.
	Timeout time.Duration

	// Memory bounds what is held and taken for images and archives, in bytes; see
	// package images.
	Memory int64

	// Verifier, if not nil, is asked of every manifest whether it may be read.
	Verifier signed.Verifier

	// Passthrough lets the kernel read complete and verified blobs from the
	// cache's files by itself, where it can and this process may (it needs
	// CAP_SYS_ADMIN). A mount of what is an image's root file system then does without.
	Passthrough bool

	// UID and GID own what has no owner of its own; nil is whoever mounts.
	UID, GID *uint32

	AllowOther   bool
	MountOptions []string // the kernel's, as after mount's -o
	Debug        bool     // log each request of the kernel
	Log          *slog.Logger
}

// lend is images.Options.Lend: the cache has the rest of the memory.
func (o *Options) lend(n int64) {
	if o.Cache != nil {
		o.Cache.Lend(n)
	}
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
	fuse     *fuse.Server
	attached *attachment
	tree     *tree
	registry *resolver.Registry // Options.Registry

	// unmounting is that Unmount was called.
	unmounting atomic.Bool
	over       chan struct{}
	overOnce   sync.Once
}

// Mount mounts a registry and returns once the mount answers. The mount lives
// until Unmount, or until somebody else unmounts it; the context ends with it
// at the latest.
//
// The registry has to be there, or to have been there for a mount before with the
// same cache. If it doesn't have the reference, the error is errdef.ErrNotFound; a
// prefix of which it doesn't know may be mounted, see Server.Remark.
func Mount(ctx context.Context, o Options) (*Server, error) {
	o.setDefaults()
	t := newTree(ctx, o)
	s, err := mount(ctx, t, o)
	if err != nil {
		t.close()
		return nil, err
	}
	go s.serve()
	if err := ready(s.fuse.WaitMount); err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Mountpoint, errors.Join(err, s.Unmount()))
	}
	return s, nil
}

// mount mounts and doesn't answer yet.
func mount(ctx context.Context, t *tree, o Options) (*Server, error) {
	root, id, err := t.root(ctx, o)
	if err != nil {
		return nil, err
	}
	options := t.kernelOptions(&o)
	options.RootStableAttr = &id
	server, err := fuse.NewServer(counted{fusefs.NewNodeFS(root, options), &t.requests}, o.Mountpoint, &options.MountOptions)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Mountpoint, err)
	}
	attached, err := attach(o.Mountpoint)
	if err != nil {
		go server.Serve() // whose end Unmount waits for
		return nil, fmt.Errorf("mount %s: %w", o.Mountpoint, errors.Join(err, server.Unmount()))
	}
	if err := attached.widen(); err != nil {
		t.log.Debug("the kernel's read-ahead stays as it is", "error", err)
	}
	t.passthrough = t.passthrough && server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0
	return &Server{fuse: server, attached: attached, tree: t, registry: o.Registry, over: make(chan struct{})}, nil
}

// serve answers until the connection to the kernel ends, and leaves no mount
// behind that nobody answers.
func (s *Server) serve() {
	s.fuse.Serve()
	if !s.unmounting.Load() {
		s.leave()
	}
	s.end()
}

// goneWithin is what somebody who unmounts by force gets to take the mount away
// himself: umount(2) ends the connection first.
const goneWithin = 200 * time.Millisecond

// leave detaches the mount if it is still there although its connection has
// ended, as after `umount -f` of a busy mount.
func (s *Server) leave() {
	for deadline := time.Now().Add(goneWithin); ; time.Sleep(10 * time.Millisecond) {
		if there, err := s.attached.there(); err == nil && !there {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	log := s.tree.log.With("mountpoint", s.attached.path)
	if err := s.attached.detach(); err != nil {
		log.Error("the connection to the kernel has ended and the mount can't be detached", "error", err)
		return
	}
	log.Warn("the connection to the kernel has ended: the mount was busy and has been detached")
}

// owner is who owns what has no owner of its own.
func (o *Options) owner() fuse.Owner {
	owner := fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())} //nolint:gosec // ids are never negative on Unix
	if o.UID != nil {
		owner.Uid = *o.UID
	}
	if o.GID != nil {
		owner.Gid = *o.GID
	}
	return owner
}

// end ends what the tree has begun, once.
func (s *Server) end() {
	s.overOnce.Do(func() {
		s.tree.close()
		close(s.over)
	})
}

// Remark is what whoever mounts should be told: that nothing is known of what he
// named, or that the registry can't be reached. "" is nothing.
func (s *Server) Remark() string { return s.tree.remark }

// Done is closed when nothing is served any more, whoever unmounted.
func (s *Server) Done() <-chan struct{} { return s.over }

// Unmount unmounts. If the mount is busy, it is taken out of the tree of files
// at once, and programs that still have files of it open get errors. Either
// way nothing is served after it returns nil.
func (s *Server) Unmount() error {
	s.unmounting.Store(true)
	path := s.attached.path
	switch there, err := s.attached.there(); {
	case err != nil:
		return fmt.Errorf("unmount %s: %w", path, err)
	case !there:
		s.end()
		return nil
	}
	if err := s.detached(); err != nil {
		if lazy := s.attached.detach(); lazy != nil {
			return fmt.Errorf("unmount %s: %w", path, errors.Join(err, lazy))
		}
		s.tree.log.Warn("the mount was busy and has been detached", "mountpoint", path)
	}
	s.end()
	return nil
}

// detached unmounts, and waits until the kernel asks nothing any more: but only for a
// while, since it goes on for as long as the same is mounted elsewhere, bound to another
// directory or in the namespace of a container.
func (s *Server) detached() error {
	done := make(chan error, 1)
	go func() { done <- s.fuse.Unmount() }() // at the latest it ends when the process closes the connection
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var gone time.Time
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		switch there, err := s.attached.there(); {
		case err != nil || there:
		case gone.IsZero():
			gone = time.Now()
		case time.Since(gone) > elsewhereWithin:
			s.tree.log.Warn("it is mounted elsewhere too, and not served there any more", "mountpoint", s.attached.path)
			return nil
		}
	}
}

// elsewhereWithin is what the kernel gets to end its connection once the mount is gone.
const elsewhereWithin = time.Second
