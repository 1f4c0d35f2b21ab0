package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orasfs/orasfs/cache"
)

func newCacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look after what is kept on disk",
		Long: `Look after the cache directory: what it holds, whether that is right, and what is
to go. Mounts may use it meanwhile; nothing is removed that one of them has open.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheInfoCommand(), newCacheVerifyCommand(), newCachePruneCommand())
	return cmd
}

// cacheFlags are those of every command for the cache.
type cacheFlags struct {
	dir    string
	format choice
}

func (f *cacheFlags) register(flags *pflag.FlagSet) {
	f.format = formatFlag()
	flags.StringVar(&f.dir, "cache-dir", defaultCacheDir(), "the cache is in `DIR`")
	flags.Var(&f.format, "format", "how to print: text or json")
}

// open opens the directory, with the flags' values from the environment too.
func (f *cacheFlags) open(cmd *cobra.Command) (*cache.Directory, error) {
	if err := applyEnvironment(cmd.Flags()); err != nil {
		return nil, usageError{command: cmd.CommandPath(), err: err}
	}
	return cache.OpenDirectory(f.dir, slog.New(slog.DiscardHandler))
}

// formatFlag says how something is printed.
func formatFlag() choice { return choice{value: "text", words: []string{"text", "json"}} }

// printJSON prints a value as one JSON document.
func printJSON(w io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	for line := range bytes.Lines(text.Bytes()) {
		if _, err := (quotedJSON{w}).Write(line); err != nil {
			return err
		}
	}
	return nil
}

// humanBytes is a size for people, in binary units.
func humanBytes(n int64) string { return units.BytesSize(float64(n)) }

// ago is how long ago something was, for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return units.HumanDuration(time.Since(t)) + " ago"
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
