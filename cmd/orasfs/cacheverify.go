package main

import (
	"errors"
	"fmt"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/orasfs/orasfs/cache"
)

func newCacheVerifyCommand() *cobra.Command {
	var flags cacheFlags
	var quiet bool
	cmd := &cobra.Command{
		Use:   "verify [flags]",
		Short: "Read all that the cache holds, and remove what is wrong",
		Long: `Compare all that the cache holds with its digests and checksums, and remove what is
wrong: it is fetched again when it is read. The exit code is 1 if anything was.`,
		Args: cobra.NoArgs,
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		dir, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		ctx, stop := signal.NotifyContext(cmd.Context(), endSignals()...)
		defer stop()
		checked := verified{Wrong: []wrongHolding{}}
		for h := range dir.Holdings() {
			checked.Count++
			checked.Bytes += h.Bytes
		}
		bars := newBars(cmd.ErrOrStderr(), quiet || flags.format.value == "json")
		bar := bars.add("verify", checked.Bytes)
		err = dir.Verify(ctx, bar.advance, checked.add)
		bar.end(err == nil)
		bars.wait()
		if err != nil {
			return err
		}
		return checked.report(cmd, flags.format.value)
	}
	return cmd
}

// verified is what became of a verification.
type verified struct {
	Count int            `json:"count"`
	Bytes int64          `json:"bytes"`
	Wrong []wrongHolding `json:"wrong"`
}

type wrongHolding struct {
	Name    string `json:"name"`
	Reason  string `json:"reason"`
	Removed bool   `json:"removed"`
}

func (v *verified) add(d cache.Damage) {
	name := d.Holding.Digest.String()
	if name == "" {
		name = "index"
	}
	v.Wrong = append(v.Wrong, wrongHolding{Name: name, Reason: d.Err.Error(), Removed: d.Removed})
}

// errWrong is that something was wrong, which has been printed.
var errWrong = errors.New("something was wrong")

func (v *verified) report(cmd *cobra.Command, format string) error {
	out := cmd.OutOrStdout()
	if format == "json" {
		if err := printJSON(out, v); err != nil {
			return err
		}
	} else {
		for _, w := range v.Wrong {
			became := "removed"
			if !w.Removed {
				became = "in use by a mount, not removed"
			}
			tell(out, fmt.Sprintf("%s: %s: %s", w.Name, w.Reason, became))
		}
		tell(out, fmt.Sprintf("%s (%s), %d wrong", count(v.Count, "item"), humanBytes(v.Bytes), len(v.Wrong)))
	}
	if len(v.Wrong) > 0 {
		return loggedError{errWrong}
	}
	return nil
}
