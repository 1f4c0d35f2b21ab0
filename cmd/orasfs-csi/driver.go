//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
)

// A driver is the node plugin. What it has to know is on the node, not here: see
// volumes.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer

	nodeID   string
	log      *slog.Logger
	volumes  *volumes
	sources  *sources
	secrets  *secrets
	warmings *warmings
	targets  locks
	held     *os.File // is locked for as long as this driver is the node's
}

// lockPoll is how often is looked whether the driver before this one has ended.
const lockPoll = 100 * time.Millisecond

// openDriver takes over a node: from a driver that has ended, once it has, and with what
// that has left. What no volume uses any more is ended.
func openDriver(ctx context.Context, o *options, r runner, log *slog.Logger) (d *driver, err error) {
	if err := makeDir(o.stateDir); err != nil {
		return nil, err
	}
	d = &driver{nodeID: o.nodeID, log: log}
	if d.held, err = lockFile(ctx, filepath.Join(o.stateDir, "lock"), log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.held.Close())
		}
	}()
	for _, dir := range []string{o.mountDir(), o.runtimeDir(), o.daemons.cacheDir} {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
	}
	if d.volumes, err = openVolumes(filepath.Join(o.stateDir, "volumes")); err != nil {
		return nil, err
	}
	if d.secrets, err = openSecrets(filepath.Join(o.stateDir, "secrets")); err != nil {
		return nil, err
	}
	d.sources = &sources{dir: o.mountDir(), runner: r, secrets: d.secrets, flags: o.daemons, log: log}
	d.warmings = &warmings{ctx: ctx, program: o.program, environment: o.environment(), log: log}
	return d, d.sweep(ctx)
}

// lockFile locks a file, waiting until nobody else has it.
func lockFile(ctx context.Context, path string, log *slog.Logger) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in our own directory
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a file descriptor is small
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !said {
			log.Info("waiting for the driver that this node has to end", "lock", path)
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		}
	}
}

// sweep forgets volumes whose pods are gone altogether, and ends what nobody uses. One
// that can't be ended keeps no other pod from its volumes: it is tried again by the next
// driver.
func (d *driver) sweep(ctx context.Context) error {
	for _, v := range d.volumes.list() {
		_, err := os.Lstat(filepath.Dir(v.Target))
		if !errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		d.log.Info("a volume's pod is gone", "volume", v.ID, "target", v.Target)
		if err := d.unpublish(ctx, v); err != nil {
			d.log.Warn("what a volume has left stays", "volume", v.ID, "target", v.Target, "error", err)
		}
	}
	left, err := d.sources.left(ctx)
	if err != nil {
		return err
	}
	for _, id := range left {
		if d.volumes.uses(id, "") {
			continue
		}
		if err := d.sources.remove(ctx, id); err != nil {
			d.log.Warn("what nobody uses goes on", "source", id, "error", err)
		}
	}
	return ctx.Err()
}

// close ends what ends with the driver. What serves volumes goes on.
func (d *driver) close() error {
	d.warmings.group.Wait()
	var err error
	if len(d.volumes.list()) == 0 {
		err = d.secrets.end()
	}
	return errors.Join(err, d.held.Close())
}
