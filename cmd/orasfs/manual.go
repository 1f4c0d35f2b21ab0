//go:build docs

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra/doc"
)

// main of this build writes what is made of the commands into a directory: their
// manual pages, in man, and what shells complete them by, in completions.
//
//	SOURCE_DATE_EPOCH=1700000000 go run -tags docs ./cmd/orasfs DIR
//
// The program itself has no pages, nor what makes them.
func main() {
	if err := writeDocs(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(exitFailure)
	}
}

func writeDocs(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one directory is needed, not %d arguments", len(args))
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH, the pages' date: %w", err)
	}
	date := time.Unix(epoch, 0).UTC()
	// Defaults that come of the environment, such as the cache directory, are to be
	// everybody's.
	os.Clearenv()
	if err := os.Setenv("HOME", "~"); err != nil {
		return err
	}
	man, completions := filepath.Join(args[0], "man"), filepath.Join(args[0], "completions")
	if err := errors.Join(os.MkdirAll(man, 0o750), os.MkdirAll(completions, 0o750)); err != nil {
		return err
	}
	root := newRootCommand()
	if err := errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(completions, "orasfs.bash"), true),
		root.GenZshCompletionFile(filepath.Join(completions, "orasfs.zsh")),
		root.GenFishCompletionFile(filepath.Join(completions, "orasfs.fish"), true),
	); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{
		Section: "1", Date: &date, Source: "orasfs " + buildVersion(), Manual: "User Commands",
	}, man)
}
