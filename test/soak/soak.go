// Package soak tells tests how much they may do. scripts/test has to end within
// minutes, and so a test whose size is only a matter of how sure it makes has two: a
// short one, and the full one, which scripts/soak asks for.
package soak

import "os"

// Variable is what asks for full sizes, in the environment, if it isn't empty:
//
//	ORASFS_SOAK=1 go test ./test/mount
const Variable = "ORASFS_SOAK"

// Size is short, or full where that is asked for.
func Size[T any](short, full T) T {
	if os.Getenv(Variable) != "" {
		return full
	}
	return short
}
