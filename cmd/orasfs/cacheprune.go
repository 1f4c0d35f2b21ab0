package main

import (
	"errors"
	"fmt"
	"os/signal"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/orasfs/orasfs/cache"
)

func newCachePruneCommand() *cobra.Command {
	var flags cacheFlags
	var size string
	var age time.Duration
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Shrink the cache to a size or an age",
		Long: `Remove what was used longest ago, until the cache takes --size at most and holds
nothing that wasn't used for --age. Without either all of it goes. What a mount has
open stays.`,
		Args: cobra.NoArgs,
	}
	flags.register(cmd.Flags())
	cmd.Flags().StringVar(&size, "size", "", "what may stay, such as 5GiB or 0")
	cmd.Flags().DurationVar(&age, "age", 0, "remove what wasn't used for this long, such as 720h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		dir, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		to, err := boundOf(size, age)
		if err != nil {
			return usageError{command: cmd.CommandPath(), err: err}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), endSignals()...)
		defer stop()
		pruned, err := dir.Prune(ctx, to)
		if err != nil {
			return err
		}
		if flags.format.value == "json" {
			return printJSON(cmd.OutOrStdout(), map[string]any{
				"removed": pruned.Removed, "removedBytes": pruned.Bytes, "inUse": pruned.InUse, "bytes": pruned.Left,
			})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %s (%s), %s left%s\n", count(pruned.Removed, "item"), humanBytes(pruned.Bytes), humanBytes(pruned.Left), inUseNote(pruned))
		return err
	}
	return cmd
}

func inUseNote(p cache.Pruned) string {
	if p.InUse == 0 {
		return ""
	}
	return fmt.Sprintf("; %s in use by a mount stayed", count(p.InUse, "item"))
}

// boundOf is what the flags say. Neither is that nothing may stay.
func boundOf(size string, age time.Duration) (cache.Bound, error) {
	to := cache.Bound{Bytes: -1, Age: age}
	switch {
	case age < 0:
		return to, errors.New("--age can't be negative")
	case size == "" && age == 0:
		to.Bytes = 0
	case size != "":
		n, err := units.RAMInBytes(size)
		if err != nil || n < 0 {
			return to, fmt.Errorf("--size %q is no size: write bytes or units, like 0, 64MiB or 10GiB", size)
		}
		to.Bytes = n
	}
	return to, nil
}
