package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// run runs one command line and returns the exit code. A failure is one line
// on stderr.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	root := newRootCommand() //nolint:contextcheck // cobra hands ctx on
	if isMountHelperCall(root, args) {
		args = append([]string{mountHelperName}, args...)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var silent loggedError
	if errors.As(err, &silent) {
		return exitFailure
	}
	line, code := err.Error(), exitFailure
	var usage usageError
	if errors.As(err, &usage) {
		line += fmt.Sprintf(" (try '%s --help')", usage.command)
		code = exitUsage
	}
	tell(stderr, "orasfs: "+line)
	return code
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "orasfs",
		Short: "Mount OCI registries as a file system",
		Long: `Mount OCI registries as a file system: repositories, tags, manifests and blobs
are directories and files, read from the registry when something reads them.

Every flag can be set in the environment: --cache-size as ORASFS_CACHE_SIZE.`,
		Example: `  orasfs mount localhost:5000 /mnt/oci
  ls /mnt/oci/library/nginx/_tags
  orasfs umount /mnt/oci`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
			}
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if show, err := cmd.Flags().GetBool("version"); err != nil || show {
				return errors.Join(err, printVersion(cmd.OutOrStdout()))
			}
			return cmd.Help()
		},
	}
	root.Flags().Bool("version", false, "print the version")
	root.AddCommand(newMountCommand(), newMountHelperCommand(), newUmountCommand(), newWarmCommand(), newStatusCommand(), newCacheCommand(), newVersionCommand())
	root.InitDefaultCompletionCmd()
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{command: cmd.CommandPath(), err: err}
	})
	usageErrors(root)
	return root
}

// A usageError is a command line that can't be run.
type usageError struct {
	command string // whose help shows how it is done
	err     error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// A loggedError has been reported where it belongs: nothing more is printed.
type loggedError struct{ err error }

func (e loggedError) Error() string { return e.err.Error() }
func (e loggedError) Unwrap() error { return e.err }

// usageErrors makes wrong arguments of cmd and of the commands below it usage
// errors, those of cobra's own commands too.
func usageErrors(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, list []string) error {
			if err := args(cmd, list); err != nil {
				return usageError{command: cmd.CommandPath(), err: err}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageErrors(c)
	}
}
