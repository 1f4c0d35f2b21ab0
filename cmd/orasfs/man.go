//go:build man

package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra/doc"
)

// main of this build writes the manual pages of all commands into a directory:
//
//	SOURCE_DATE_EPOCH=1700000000 go run -tags man ./cmd/orasfs DIR
//
// The program itself has neither them nor what makes them.
func main() {
	if err := writeManual(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(exitFailure)
	}
}

func writeManual(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("a directory for the pages is needed, not %d arguments", len(args))
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH, the pages' date: %w", err)
	}
	date := time.Unix(epoch, 0).UTC()
	// A default that comes of the environment, such as a directory's, is everybody's.
	os.Clearenv()
	if err := os.Setenv("HOME", "~"); err != nil {
		return err
	}
	root := newRootCommand()
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{
		Section: "1", Date: &date, Source: "orasfs " + buildVersion(), Manual: "User Commands",
	}, args[0])
}
