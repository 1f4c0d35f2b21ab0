package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// A mountRequest is one mount that was asked for. Making it does nothing yet.
type mountRequest struct {
	target     target
	mountpoint string // as given, until check has resolved it
	registry   resolver.Options
	loggedIn   bool // the registry has let us in with a credential
	cache      cache.Options

	platform         ocispec.Platform
	view             fs.View
	follow           bool
	tagTTL, maxStale time.Duration
	passthrough      bool
	signed           signedFlags
	allowOther       bool
	uid, gid         *uint32 // see mountOptions
	kernelOptions    []string

	metricsAddr string
	pprof       bool

	secrets   secrets
	verbose   bool
	logFormat string
	flags     []string // those of the daemon
}

// request turns the command line into what to mount. The secrets come from what
// given reads of the standard input.
func (f *mountFlags) request(cmd *cobra.Command, args []string, helper bool, given func(stdin io.Reader) (secrets, error)) (*mountRequest, error) {
	options, err := f.settle(cmd.Flags(), helper)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(absoluteEnvironment(), makeAbsolute(slices.Concat(f.registryFlags.paths(), f.signedFlags.paths(), []*string{&f.cacheDir})...)); err != nil {
		return nil, err
	}
	text, mountpoint, err := f.splitArgs(args)
	if err != nil {
		return nil, err
	}
	target, err := f.parseTarget(text)
	if err != nil {
		return nil, err
	}
	secrets, err := given(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	registry, err := f.registryOptions(cmd.Flags(), secrets)
	if err != nil {
		return nil, err
	}
	if target.Host == "" {
		if err := forOne(registry, "give a TARGET of one"); err != nil {
			return nil, err
		}
	}
	content := f.cacheOptions(&f.registryFlags)
	if f.verify.value == "full" {
		content.Verify = cache.VerifyFull
	}
	return &mountRequest{
		target:        target,
		mountpoint:    mountpoint,
		registry:      registry,
		secrets:       secrets,
		cache:         content,
		platform:      f.platform.Platform,
		view:          fs.View(f.view.value),
		follow:        f.follow,
		tagTTL:        orAtOnce(f.tagTTL),
		maxStale:      orAtOnce(f.maxStale),
		passthrough:   f.passthrough.value == "auto",
		signed:        f.signedFlags,
		allowOther:    options.allowOther,
		uid:           options.uid,
		gid:           options.gid,
		kernelOptions: options.kernel,
		metricsAddr:   f.metricsAddr,
		pprof:         f.pprof,
		verbose:       f.verbose,
		logFormat:     f.logFormat.value,
		flags:         daemonFlags(cmd.Flags(), options),
	}, nil
}

// orAtOnce keeps 0 from being taken for the default in fs.Options.
func orAtOnce(d time.Duration) time.Duration {
	return max(d, 1)
}

// check resolves the mountpoint and finds what would keep the mount from
// working on this machine.
func (r *mountRequest) check(ctx context.Context) error {
	var err error
	if r.mountpoint, err = resolveMountpoint(r.mountpoint); err != nil {
		return err
	}
	if err := checkMountpoint(ctx, r.mountpoint, r.target.text); err != nil {
		return err
	}
	if err := checkFUSE(r.allowOther); err != nil {
		return err
	}
	if _, err := r.signed.verifier(slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return checkCacheDir(r.cache.Dir, r.mountpoint)
}
