package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/orasfs/orasfs/resolver"
)

// everyRegistry is the target of a mount of every registry, where fstab wants
// one. A host's name can't be that: it has a dot or a port.
const everyRegistry = "none"

// splitArgs gives the target and the mountpoint that the arguments name.
func splitArgs(args []string) (target, mountpoint string, err error) {
	if len(args) == 2 {
		return args[0], args[1], nil
	}
	if _, err := os.Stat(args[0]); err != nil {
		if _, err := resolver.ParseTarget(args[0]); err == nil {
			return "", "", fmt.Errorf("a MOUNTPOINT is needed too: orasfs mount %s DIR", args[0])
		}
	}
	return everyRegistry, args[0], nil
}

// parseTarget reads a target. The zero value is every registry.
func (f *mountFlags) parseTarget(text string) (target resolver.Target, err error) {
	if text != everyRegistry {
		target, err = resolver.ParseTarget(text)
	}
	switch {
	case err != nil:
		return target, err
	case f.view.value != "" && target.Reference == "":
		return target, errors.New("--view is for one artifact: give a TARGET with a tag or a digest")
	case target.Host == "" && f.username != "":
		return target, errors.New("--username is for one registry: every registry has the credentials of its own, from oras login or docker login")
	}
	return target, nil
}
