//go:build !linux

package cache

import (
	"errors"
	"os"
)

// punch gives back the blocks of a part of a file where the system can.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

// writeBack is a hint where the system takes it.
func writeBack(*os.File, int64, int64) {}
