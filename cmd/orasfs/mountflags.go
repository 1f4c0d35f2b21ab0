package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// mountFlags are the flags of mount. Names that oras has mean what they mean
// there.
type mountFlags struct {
	ociLayout           bool
	plainHTTP, insecure bool
	caFile              string
	certFile, keyFile   string
	headers, resolve    []string
	registryConfigs     []string
	hostsDir            string
	username            string
	passwordStdin       bool
	identityTokenStdin  bool
	concurrency         int
	cacheDir            string
	cacheSize, memory   byteSize
	tagTTL, maxStale    time.Duration
	timeout             time.Duration
	verify, logFormat   choice
	passthrough         choice
	view                choice
	platform            platform
	options             []string
	foreground, verbose bool
	metricsAddr         string
	pprof               bool
}

func (f *mountFlags) register(flags *pflag.FlagSet) {
	*f = mountFlags{
		cacheSize:   10 << 30,
		memory:      256 << 20,
		verify:      choice{value: "lazy", words: []string{"lazy", "full"}},
		logFormat:   choice{value: "text", words: []string{"text", "json"}},
		passthrough: choice{value: "auto", words: []string{"auto", "off"}},
		view:        choice{words: []string{string(fs.ViewFiles), string(fs.ViewRootFS), string(fs.ViewLayout)}},
	}
	flags.SortFlags = false

	flags.BoolVar(&f.ociLayout, "oci-layout", false, "TARGET is a local OCI image layout, a folder or a tar: PATH[:TAG|@DIGEST]")
	flags.BoolVar(&f.plainHTTP, "plain-http", false, "talk HTTP to the registry (automatic for localhost, where =false is TLS)")
	flags.BoolVar(&f.insecure, "insecure", false, "accept any TLS certificate")
	flags.StringVar(&f.caFile, "ca-file", "", "trust the certificate authorities in `FILE` (PEM) too")
	flags.StringVar(&f.certFile, "cert-file", "", "show the registry the client certificate in `FILE` (PEM)")
	flags.StringVar(&f.keyFile, "key-file", "", "private key `FILE` of the client certificate (PEM)")
	flags.StringArrayVar(&f.resolve, "resolve", nil, "connect to the address for the host: `HOST:PORT:ADDRESS[:ADDRESS_PORT]`; can be repeated")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "send the registry a header, `'NAME: VALUE'`; can be repeated")
	flags.StringVarP(&f.username, "username", "u", "", "log in to the registry as `USER`")
	flags.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password or token from standard input")
	flags.BoolVar(&f.identityTokenStdin, "identity-token-stdin", false, "read an identity token from standard input")
	flags.StringArrayVar(&f.registryConfigs, "registry-config", nil, "credentials `FILE` (default ORAS's and Docker's); can be repeated: the first with a login counts")
	flags.StringVar(&f.hostsDir, "hosts-dir", resolver.DefaultHostsDir, "ask mirrors before a registry, as containerd's hosts.toml in the registry's folder in `DIR` says; it is read again when it changes")
	flags.Var(&f.platform, "platform", "the `OS/ARCH[/VARIANT]` that an index shows as its own (default the host's)")
	flags.IntVar(&f.concurrency, "concurrency", 8, "`N` fetches at once, 1 to 256")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "give up a connection without progress for this long; what a program waits for ends within twice as long")

	flags.StringVar(&f.cacheDir, "cache-dir", defaultCacheDir(), "keep content and the log in `DIR`")
	flags.Var(&f.cacheSize, "cache-size", "bound of the cache directory")
	flags.Var(&f.memory, "memory", "bound of what is held in memory, 16MiB or more")
	flags.DurationVar(&f.tagTTL, "tag-ttl", time.Minute, "ask a tag again after this long")
	flags.DurationVar(&f.maxStale, "max-stale", 24*time.Hour, "with the registry down, go on with a tag's last digest for this long")
	flags.Var(&f.verify, "verify", "check a large blob while it is read, or in full before its first byte")

	flags.Var(&f.passthrough, "passthrough", "let the kernel read complete content from the cache directory by itself: where it can and root mounts, but not for an image's root file system; or never")

	flags.Var(&f.view, "view", "of one artifact: its files, an image's root file system, or an OCI layout of it (default rootfs of an image, files of any other)")
	flags.StringArrayVarP(&f.options, "options", "o", nil, "mount `OPTIONS`, comma-separated: allow_other, default_permissions, noexec, any long flag by its name")
	flags.BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground and log to standard error")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log more, and say where the log is")
	flags.Var(&f.logFormat, "log-format", "how the log is written")

	flags.StringVar(&f.metricsAddr, "metrics-addr", "", "serve metrics for Prometheus at /metrics, and /healthz, on `HOST:PORT`: to whoever can connect")
	flags.BoolVar(&f.pprof, "pprof", false, "serve /debug/pprof on --metrics-addr too")

	// Go writes 1m0s and 24h0m0s.
	for name, shown := range map[string]string{"tag-ttl": "1m", "max-stale": "24h", "timeout": "30s"} {
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
	if err := f.checkTogether(); err != nil {
		return mountOptions{}, err
	}
	return options, f.check()
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
	case f.concurrency < 1 || f.concurrency > 256:
		return errors.New("--concurrency must be between 1 and 256")
	case f.memory < 16<<20:
		return errors.New("--memory must be 16MiB or more")
	case f.timeout <= 0:
		return errors.New("--timeout must be more than 0")
	case f.tagTTL < 0 || f.maxStale < 0:
		return errors.New("--tag-ttl and --max-stale can't be negative")
	case f.cacheDir == "":
		_, err := os.UserCacheDir()
		return fmt.Errorf("--cache-dir is needed: there is no user's cache directory (%w)", err)
	case f.pprof && f.metricsAddr == "":
		return errors.New("--pprof needs --metrics-addr, where it is served")
	case f.metricsAddr != "" && !isHostPort(f.metricsAddr):
		return fmt.Errorf("--metrics-addr %s isn't HOST:PORT: 127.0.0.1:9090, or :9090 for all addresses", f.metricsAddr)
	case strings.Contains(f.username, ":"):
		return errors.New("--username can't contain a colon (RFC 7617, section 2)")
	}
	return nil
}

// isHostPort tells whether an address has a port, of this machine's own notation.
func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port != ""
}

// absolute makes paths independent of the working directory, which is / in
// the daemon.
func (f *mountFlags) absolute() error {
	if err := absoluteEnvironment(); err != nil {
		return err
	}
	paths := []*string{&f.cacheDir, &f.hostsDir, &f.caFile, &f.certFile, &f.keyFile}
	for i := range f.registryConfigs {
		paths = append(paths, &f.registryConfigs[i])
	}
	for _, path := range paths {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	return nil
}
