package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// mountHelpers are the names by which mount(8) calls a program of its own for a type
// of file system, orasfs and fuse.orasfs.
var mountHelpers = []string{"mount.orasfs", "mount.fuse.orasfs"}

// exitMountFailure is mount(8)'s exit code for a mount that failed.
const exitMountFailure = 32

// isMountHelper tells whether a program is called as mount(8) calls it.
func isMountHelper(program string) bool { return slices.Contains(mountHelpers, filepath.Base(program)) }

// runMountHelper is run for mount(8): SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS]
// [-t TYPE], see "External helpers" there. -f is that all but the mount is done.
func runMountHelper(ctx context.Context, args []string, stderr io.Writer) int {
	parsed, fake, err := mountHelperArgs(args)
	switch {
	case err != nil:
		tell(stderr, "mount.orasfs: "+err.Error())
		return exitFailure // "incorrect invocation", as mount's
	case fake:
		return 0
	}
	switch code := run(ctx, append([]string{mountHelperName}, parsed...), stderr); code {
	case exitFailure:
		return exitMountFailure
	case exitUsage:
		return exitFailure
	default:
		return code
	}
}

// mountHelperArgs are the arguments of the command mount-helper.
func mountHelperArgs(args []string) (parsed []string, fake bool, err error) {
	var words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			words = append(words, arg)
			continue
		}
		for i, letter := range arg[1:] {
			value := arg[i+2:]
			switch letter {
			case 's', 'n': // sloppy; no mtab: neither makes a difference
				continue
			case 'f':
				fake = true
				continue
			case 'v':
				parsed = append(parsed, "--verbose")
				continue
			case 'o', 't', 'N':
			default:
				return nil, false, fmt.Errorf("unknown option -%c", letter)
			}
			if value == "" {
				if len(args) == 0 {
					return nil, false, fmt.Errorf("-%c needs a value", letter)
				}
				value, args = args[0], args[1:]
			}
			if letter == 'o' { // the type is known, and the namespace is the caller's
				parsed = append(parsed, "--options="+value)
			}
			break
		}
	}
	if len(words) != 2 {
		return nil, false, fmt.Errorf("what to mount and a directory are needed, not %q", strings.Join(words, " "))
	}
	return append(parsed, append([]string{"--"}, words...)...), fake, nil
}
