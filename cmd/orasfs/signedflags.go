package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/fs/signed"
)

// signedFlags say who has to vouch for what can be read: of mount and of warm.
type signedFlags struct {
	verifierDir     string
	verifierTimeout time.Duration
	verifyKeys      []string
}

func (f *signedFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.verifierDir, "verifier-dir", "", "show only what every program in `DIR` allows: containerd's image verifiers")
	flags.DurationVar(&f.verifierTimeout, "verifier-timeout", 10*time.Second, "a verifier that takes longer denies")
	flags.StringArrayVar(&f.verifyKeys, "verify-key", nil, "show only what was signed (cosign sign --key) with the key of which `FILE` is the public one; can be repeated: one of them is enough")
}

func (f *signedFlags) check() error {
	if f.verifierTimeout <= 0 {
		return errors.New("--verifier-timeout must be more than 0")
	}
	return nil
}

// paths are the flags that are paths of files.
func (f *signedFlags) paths() []*string {
	paths := []*string{&f.verifierDir}
	for i := range f.verifyKeys {
		paths = append(paths, &f.verifyKeys[i])
	}
	return paths
}

// verifier is who is asked, nil where everything may be read. An error is that a file
// isn't what it should be.
func (f *signedFlags) verifier(log *slog.Logger) (signed.Verifier, error) {
	var all signed.All
	if f.verifierDir != "" {
		programs, err := signed.OpenPrograms(f.verifierDir, f.verifierTimeout, log)
		if err != nil {
			return nil, flagError{"--verifier-dir", err}
		}
		all = append(all, programs)
	}
	if len(f.verifyKeys) > 0 {
		keys, err := signed.LoadKeys(f.verifyKeys...)
		if err != nil {
			return nil, flagError{"--verify-key", err}
		}
		all = append(all, keys)
	}
	if len(all) == 0 {
		return nil, nil //nolint:nilnil // everything may be read
	}
	return all, nil
}

// A flagError is what is wrong with what a flag names.
type flagError struct {
	flag  string
	cause error
}

func (e flagError) Error() string { return e.flag + ": " + e.cause.Error() }
func (e flagError) Unwrap() error { return e.cause }
