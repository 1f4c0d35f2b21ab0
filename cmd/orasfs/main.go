//go:build !docs

package main

import (
	"context"
	"os"
)

func main() {
	if os.Args[0] == askMountName && len(os.Args) == 2 {
		os.Exit(askMount(os.Args[1], os.Stderr))
	}
	if err := settleHome(); err != nil {
		tell(os.Stderr, "orasfs: HOME: "+err.Error())
		os.Exit(exitFailure)
	}
	if isMountHelper(os.Args[0]) {
		os.Exit(runMountHelper(context.Background(), os.Args[1:], os.Stderr))
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stderr))
}
