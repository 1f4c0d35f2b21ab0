//go:build !docs

package main

import (
	"context"
	"os"
)

func main() {
	if err := settleHome(); err != nil {
		tell(os.Stderr, "orasfs: HOME: "+err.Error())
		os.Exit(exitFailure)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stderr))
}
