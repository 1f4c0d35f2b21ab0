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
	"slices"
	"strings"
	"time"
)

// sources are the mounts that volumes show: each is one artifact, served by a process of
// its own for all volumes that want the same share of it with the same credentials.
// They are where nobody else gets to, and bound to the volumes' targets.
type sources struct {
	dir     string // has a directory for each, its mountpoint
	runner  runner
	secrets *secrets
	flags   daemonFlags
	log     *slog.Logger
	locks   locks
}

// daemonFlags are what the processes are started with, whatever they serve.
type daemonFlags struct {
	cacheDir, cacheSize, memory string
	timeout                     time.Duration
	hostsDir, registryConfig    string
	caFile, verifierDir         string
	verifyKeys                  []string
}

// mountpoint is where a source is mounted.
func (s *sources) mountpoint(id string) string { return filepath.Join(s.dir, id) }

// unit is the name of the process that serves a source.
func unit(id string) string { return unitPrefix + id }

// ensure has a source serve: with the process that does, or a new one. The lock of id is
// held.
func (s *sources) ensure(ctx context.Context, id string, of share) error {
	dir := s.mountpoint(id)
	served, err := isServed(ctx, dir)
	if served || err != nil {
		return err
	}
	// What is left of one that has ended.
	if err := s.end(ctx, id); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := s.runner.start(ctx, unit(id), s.mountArgs(id, of)); err != nil {
		return errors.Join(err, s.end(context.WithoutCancel(ctx), id))
	}
	s.log.Info("serving", "source", id, "reference", of.Reference)
	return nil
}

// stopPatience is what a process gets to be gone.
const stopPatience = time.Minute

// end ends the process of a source, and leaves nothing of its mount. Its credentials
// stay. The lock of id is held.
func (s *sources) end(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := s.runner.stop(ctx, unit(id)); err != nil {
		return fmt.Errorf("end what serves source %s: %w", id, err)
	}
	return removeMount(s.mountpoint(id))
}

// remove ends a source that no volume uses any more. The lock of id is held.
func (s *sources) remove(ctx context.Context, id string) error {
	if err := errors.Join(s.end(ctx, id), s.secrets.remove(id)); err != nil {
		return err
	}
	s.log.Info("ended", "source", id)
	return nil
}

// left are the sources of which something is there: a directory, a process or
// credentials.
func (s *sources) left(ctx context.Context) ([]string, error) {
	var ids []string
	names, err := s.runner.running(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		ids = append(ids, strings.TrimPrefix(name, unitPrefix))
	}
	for _, dir := range []string{s.dir, s.secrets.dir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if id := strings.TrimSuffix(e.Name(), ".json"); isSourceID(id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// isSourceID says whether a name is what secrets.source gives.
func isSourceID(name string) bool {
	return len(name) == 16 && strings.Trim(name, "0123456789abcdef") == ""
}

// contentArgs are the flags that mount and warm have in common.
func (s *sources) contentArgs(id string, of share) []string {
	f := &s.flags
	args := []string{"--cache-dir=" + f.cacheDir, "--cache-size=" + f.cacheSize, "--memory=" + f.memory, "--timeout=" + f.timeout.String()}
	switch {
	case s.secrets.has(id):
		args = append(args, "--registry-config="+s.secrets.path(id))
	case of.PlainHTTP == "true":
		// A pod's author doesn't get to send the node's credentials where all can read them.
		args = append(args, "--registry-config="+s.secrets.none())
	case f.registryConfig != "":
		args = append(args, "--registry-config="+f.registryConfig)
	}
	for name, value := range map[string]string{"hosts-dir": f.hostsDir, "verifier-dir": f.verifierDir, "platform": of.Platform, "plain-http": of.PlainHTTP, "ca-file": f.caFile} {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	for _, key := range f.verifyKeys {
		args = append(args, "--verify-key="+key)
	}
	return args
}

// mountArgs are the arguments with which orasfs mounts a source.
func (s *sources) mountArgs(id string, of share) []string {
	args := append([]string{"mount"}, s.contentArgs(id, of)...)
	if of.View != "" {
		args = append(args, "--view="+of.View)
	}
	if of.Verify != "" {
		args = append(args, "--verify="+of.Verify)
	}
	if of.Follow {
		args = append(args, "--follow")
	}
	// Pods are other users than the one who mounts.
	args = append(args, "--options="+strings.Join(append([]string{"allow_other"}, of.Options...), ","))
	return append(args, "--", of.Reference, s.mountpoint(id))
}

// makeDir makes a directory that is root's alone.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode()&iofs.ModeSymlink != 0 {
		return fmt.Errorf("%s isn't a directory", path)
	}
	return os.Chmod(path, 0o700) //nolint:gosec // a directory is entered
}
