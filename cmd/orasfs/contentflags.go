package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/cache"
)

// contentFlags say where content is kept, and how much.
type contentFlags struct {
	cacheDir          string
	cacheSize, memory byteSize
}

func (f *contentFlags) register(flags *pflag.FlagSet) {
	f.cacheSize, f.memory = 10<<30, 256<<20
	flags.StringVar(&f.cacheDir, "cache-dir", defaultCacheDir(), "keep content and the log in `DIR`")
	flags.Var(&f.cacheSize, "cache-size", "bound of the cache directory")
	flags.Var(&f.memory, "memory", "bound of what is held in memory, 16MiB or more")
}

func (f *contentFlags) check() error {
	switch {
	case f.memory < 16<<20:
		return errors.New("--memory must be 16MiB or more")
	case f.cacheDir == "":
		_, err := os.UserCacheDir()
		return fmt.Errorf("--cache-dir is needed: there is no user's cache directory (%w)", err)
	}
	return nil
}

// cacheOptions are those of a cache that is asked so many things at once.
func (f *contentFlags) cacheOptions(r *registryFlags) cache.Options {
	return cache.Options{
		Dir:         f.cacheDir,
		Size:        int64(f.cacheSize),
		Memory:      int64(f.memory),
		Concurrency: r.concurrency,
		Timeout:     r.timeout,
	}
}
