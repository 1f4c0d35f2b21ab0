package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/fs"
)

// mountFlags are the flags of mount. Names that oras has mean what they mean
// there.
type mountFlags struct {
	registryFlags
	contentFlags
	signedFlags

	ociLayout           bool
	tagTTL, maxStale    time.Duration
	verify, logFormat   choice
	passthrough         choice
	view                choice
	follow              bool
	options             []string
	foreground, verbose bool
	metricsAddr         string
	pprof               bool
}

func (f *mountFlags) register(flags *pflag.FlagSet) {
	*f = mountFlags{
		verify:      choice{value: "lazy", words: []string{"lazy", "full"}},
		logFormat:   choice{value: "text", words: []string{"text", "json"}},
		passthrough: choice{value: "auto", words: []string{"auto", "off"}},
		view:        choice{words: []string{string(fs.ViewFiles), string(fs.ViewRootFS), string(fs.ViewLayout)}},
	}
	flags.SortFlags = false

	flags.BoolVar(&f.ociLayout, "oci-layout", false, "TARGET is a local OCI image layout, a folder or a tar: PATH[:TAG|@DIGEST]")
	f.registryFlags.register(flags)
	f.contentFlags.register(flags)
	flags.DurationVar(&f.tagTTL, "tag-ttl", time.Minute, "ask a tag again after this long")
	flags.DurationVar(&f.maxStale, "max-stale", 24*time.Hour, "with the registry down, go on with a tag's last digest for this long")
	flags.Var(&f.verify, "verify", "check a large blob while it is read, or in full before its first byte")
	f.signedFlags.register(flags)

	flags.Var(&f.passthrough, "passthrough", "let the kernel read complete content from the cache directory by itself: where it can and root mounts, but not for an image's root file system; or never")

	flags.Var(&f.view, "view", "of one artifact: its files, an image's root file system, or an OCI layout of it (default rootfs of an image, files of any other)")
	flags.BoolVar(&f.follow, "follow", false, "of HOST/NAME:TAG: show what the tag means now, and not what it means when it is mounted")
	flags.StringArrayVarP(&f.options, "options", "o", nil, "mount `OPTIONS`, comma-separated: allow_other, default_permissions, noexec, uid=N and gid=N, who own what an archive doesn't say of, any long flag by its name")
	flags.BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground and log to standard error")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log more, and say where the log is")
	flags.Var(&f.logFormat, "log-format", "how the log is written")

	flags.StringVar(&f.metricsAddr, "metrics-addr", "", "serve metrics for Prometheus at /metrics, and /healthz, on `HOST:PORT`: to whoever can connect")
	flags.BoolVar(&f.pprof, "pprof", false, "serve /debug/pprof on --metrics-addr too")

	// Go writes 1m0s and 24h0m0s.
	for name, shown := range map[string]string{"tag-ttl": "1m", "max-stale": "24h", "verifier-timeout": "10s"} {
		flags.Lookup(name).DefValue = shown
	}
}

// settle gives every flag its value, from what doc.go lists, and checks it.
func (f *mountFlags) settle(flags *pflag.FlagSet, helper bool) (mountOptions, error) {
	options, err := f.settleOptions(flags, helper)
	if err != nil {
		return mountOptions{}, err
	}
	given := flags.Changed("options")
	if err := applyEnvironment(flags); err != nil {
		return mountOptions{}, err
	}
	if !given && flags.Changed("options") {
		options, err = f.settleOptions(flags, helper)
		if err != nil {
			return mountOptions{}, fmt.Errorf("%s in the environment: %w", environmentName("options"), err)
		}
	}
	return options, cmp.Or(f.registryFlags.check(), f.contentFlags.check(), f.signedFlags.check(), f.check())
}

func (f *mountFlags) settleOptions(flags *pflag.FlagSet, helper bool) (mountOptions, error) {
	options, err := parseMountOptions(f.options, flags, helper)
	if err != nil {
		return mountOptions{}, err
	}
	return options, applyFlagOptions(options.flags, flags)
}

func (f *mountFlags) check() error {
	switch {
	case f.tagTTL < 0 || f.maxStale < 0:
		return errors.New("--tag-ttl and --max-stale can't be negative")
	case f.pprof && f.metricsAddr == "":
		return errors.New("--pprof needs --metrics-addr, where it is served")
	case f.metricsAddr != "" && !isHostPort(f.metricsAddr):
		return fmt.Errorf("--metrics-addr %s isn't HOST:PORT: 127.0.0.1:9090, or :9090 for all addresses", f.metricsAddr)
	}
	return nil
}

// isHostPort tells whether an address has a port, of this machine's own notation.
func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port != ""
}
