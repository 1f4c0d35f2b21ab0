package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// serve mounts, calls mounted with a remark for the user ("" is none), and serves
// until ctx ends or somebody else unmounts. If mounted fails, nobody waits for the mount and it ends at once.
func (r *mountRequest) serve(ctx context.Context, log *slog.Logger, mounted func(remark string) error) (err error) {
	limitMemory(r.cache)
	recent, traffic := newRecentErrors(log.Handler()), new(resolver.Traffic)
	log, r.registry.Traffic = slog.New(recent), traffic
	monitor, err := r.newMonitor(ctx, log)
	if err != nil {
		return err
	}
	defer monitor.end()
	hangups := awaitHangups()
	defer hangups.stop()
	r.registry.Log, r.cache.Log = log, log
	o, err := r.open(ctx, log)
	if err != nil {
		return r.explain(err)
	}
	if o.Layout != nil {
		defer o.Layout.Close() //nolint:errcheck // it was only read
	}
	if o.Registry != nil {
		defer o.Registry.Close() //nolint:errcheck // it was only read
	}
	content, err := cache.Open(r.cache)
	if err != nil {
		return fmt.Errorf("%w: choose another directory with --cache-dir", err)
	}
	defer func() {
		if closed := content.Close(); err == nil && closed != nil {
			err = fmt.Errorf("close the cache: %w", closed)
		}
	}()
	o.Cache = content
	server, err := fs.Mount(ctx, o)
	if err != nil {
		if o.Registry != nil {
			credential, unknown := o.Registry.Credential(ctx)
			r.loggedIn = unknown == nil && credential != "" && !errors.Is(err, resolver.ErrCredential)
		}
		return r.explain(err)
	}
	log.Info("mounted", "target", r.target.text, "mountpoint", r.mountpoint)
	monitor.watch(ctx, &served{note: r.note(), traffic: traffic, cache: content, mount: server, errors: recent})
	defer monitor.end() // before what it looks at is closed
	if err := mounted(server.Remark()); err != nil {
		log.Error("nobody waits for the mount", "error", err)
		return server.Unmount()
	}
	hangups.serve(ctx, log, server.Reload)
	systemd := notifySystemd(ctx, log, r.target.text, r.mountpoint)
	defer systemd.stop()
	return untilUnmounted(ctx, server, log, systemd.stopping)
}

// note is whose mount it is.
func (r *mountRequest) note() mountNote {
	return mountNote{Target: r.target.text, Mountpoint: r.mountpoint, PID: os.Getpid(), Version: buildVersion(), Since: time.Now()}
}

// open opens what is to be mounted, and says how.
func (r *mountRequest) open(ctx context.Context, log *slog.Logger) (o fs.Options, err error) {
	o = fs.Options{
		Mountpoint:   r.mountpoint,
		Prefix:       r.target.Name,
		Reference:    r.target.Reference,
		View:         r.view,
		Follow:       r.follow,
		Platform:     r.platform,
		TagTTL:       r.tagTTL,
		MaxStale:     r.maxStale,
		Timeout:      r.registry.Timeout,
		Memory:       r.cache.Memory,
		Passthrough:  r.passthrough,
		AllowOther:   r.allowOther,
		UID:          r.uid,
		GID:          r.gid,
		MountOptions: r.kernelOptions,
		Log:          log,
	}
	if o.Verifier, err = r.signed.verifier(log); err != nil {
		return o, err
	}
	switch {
	case r.target.layout != "":
		o.Layout, err = resolver.OpenLayout(ctx, r.target.layout, log)
	case r.target.Host != "":
		o.Registry, err = resolver.NewRegistry(r.target.Host, r.registry)
	default:
		o.Connect = r.connect
		_, err = resolver.NewRegistry("localhost", r.registry) // finds what is wrong with the options
	}
	return o, err
}

// connect makes the client of one of every registry. An authority, say, is for those
// that talk TLS, and without a TARGET it doesn't say that localhost does: that is
// asked, and HTTP is talked if what is there can't be talked to in TLS.
func (r *mountRequest) connect(ctx context.Context, host string) (*resolver.Registry, error) {
	registry, err := resolver.NewRegistry(host, r.registry)
	if err != nil || r.registry.PlainHTTP != nil || !resolver.IsLoopback(host) || !r.registry.MeansTLS() {
		return registry, err
	}
	if !resolver.NoTLS(registry.Ping(ctx)) {
		return registry, nil // whoever uses it sees what is wrong
	}
	o := r.registry
	o.PlainHTTP = new(true)
	if err := registry.Close(); err != nil {
		return nil, err
	}
	return resolver.NewRegistry(host, o)
}

// untilUnmounted unmounts when ctx ends, calling ending before, and returns once
// nothing is mounted.
func untilUnmounted(ctx context.Context, server *fs.Server, log *slog.Logger, ending func()) error {
	select {
	case <-server.Done():
		log.Info("unmounted by somebody else")
		return nil
	case <-ctx.Done():
	}
	ending()
	if err := server.Unmount(); err != nil {
		return err
	}
	log.Info("unmounted")
	return nil
}
