package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/resolver"
)

// registryFlags say how registries are reached: those of every command that reads from
// one. Names that oras has mean what they mean there.
type registryFlags struct {
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
	timeout             time.Duration
	platform            platform
}

func (f *registryFlags) register(flags *pflag.FlagSet) {
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
	flags.Lookup("timeout").DefValue = "30s"
}

// check refuses what can't be, flags that say what others do, and half of what is
// needed.
func (f *registryFlags) check() error {
	switch {
	case f.passwordStdin && f.identityTokenStdin:
		return errors.New("--password-stdin and --identity-token-stdin both read the standard input: give one")
	case f.identityTokenStdin && f.username != "":
		return errors.New("an identity token has no user: omit --username, or use --password-stdin")
	case (f.certFile == "") != (f.keyFile == ""):
		return errors.New("--cert-file and --key-file belong together: give both")
	case f.concurrency < 1 || f.concurrency > 256:
		return errors.New("--concurrency must be between 1 and 256")
	case f.timeout <= 0:
		return errors.New("--timeout must be more than 0")
	case strings.Contains(f.username, ":"):
		return errors.New("--username can't contain a colon (RFC 7617, section 2)")
	}
	return nil
}

// registryOptions are how a registry is reached.
func (f *registryFlags) registryOptions(flags *pflag.FlagSet, secrets secrets) (o resolver.Options, err error) {
	o = resolver.Options{
		Insecure:        f.insecure,
		CAFile:          f.caFile,
		CertFile:        f.certFile,
		KeyFile:         f.keyFile,
		Username:        f.username,
		Password:        string(secrets.Password),
		RegistryConfigs: f.registryConfigs,
		HostsDir:        f.hostsDir,
		Timeout:         f.timeout,
		Concurrency:     f.concurrency,
		UserAgent:       "orasfs/" + buildVersion(),
	}
	if flags.Changed("plain-http") {
		o.PlainHTTP = &f.plainHTTP
	}
	if o.Header, err = resolver.ParseHeader(secrets.headers()); err != nil {
		return o, fmt.Errorf("--header: %w", err)
	}
	if o.Resolve, err = resolver.ParseResolve(f.resolve); err != nil {
		return o, fmt.Errorf("--resolve %w", err)
	}
	return o, nil
}

// forOne refuses what is for one registry where there are others.
func forOne(o resolver.Options, instead string) error {
	switch {
	case o.Username != "" || o.Password != "":
		return fmt.Errorf("a user and a password or token (--username, ORASFS_USERNAME, ORASFS_PASSWORD) are for one registry: %s", instead)
	case o.Header.Get("Authorization") != "":
		return fmt.Errorf("a header Authorization is for one registry: %s", instead)
	}
	return nil
}

// paths are the flags that are paths of files.
func (f *registryFlags) paths() []*string {
	paths := []*string{&f.hostsDir, &f.caFile, &f.certFile, &f.keyFile}
	for i := range f.registryConfigs {
		paths = append(paths, &f.registryConfigs[i])
	}
	return paths
}

// makeAbsolute makes paths independent of the working directory, which is / in the
// daemon.
func makeAbsolute(paths ...*string) error {
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
