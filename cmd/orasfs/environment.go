package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

const environmentPrefix = "ORASFS_"

// environmentName is the variable that sets a flag: ORASFS_CACHE_SIZE is
// --cache-size.
func environmentName(flag string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnvironment sets the flags that aren't set yet and have a variable. An
// empty variable is as good as none. That of a flag that can be repeated has a
// value in each line.
func applyEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := environmentName(f.Name)
		value := os.Getenv(name)
		if failed != nil || f.Changed || f.Name == "help" || value == "" {
			return
		}
		values := []string{value}
		if _, repeated := f.Value.(pflag.SliceValue); repeated {
			values = strings.Split(strings.Trim(value, "\n"), "\n")
		}
		for _, value := range values {
			if err := flags.Set(f.Name, value); err != nil {
				failed = fmt.Errorf("%s in the environment: %w", name, err)
			}
		}
	})
	return failed
}

// withoutOwnEnvironment leaves out the variables of orasfs. The daemon gets
// its flags as arguments and the secrets through a pipe, so that no process
// it starts (a credential helper, fusermount3) inherits one.
func withoutOwnEnvironment(environ []string) []string {
	var kept []string
	for _, v := range environ {
		if !strings.HasPrefix(v, environmentPrefix) {
			kept = append(kept, v)
		}
	}
	return kept
}
