package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/orasfs/orasfs/resolver"
)

// everyRegistry is the target of a mount of every registry, where fstab wants
// one. A host's name can't be that: it has a dot or a port.
const everyRegistry = "none"

// A target is what is mounted. The zero value is every registry.
type target struct {
	resolver.Target
	text   string // as the daemon is given it
	layout string // the path of a local OCI image layout; "" is none
}

// splitArgs gives the target and the mountpoint that the arguments name.
func (f *mountFlags) splitArgs(args []string) (target, mountpoint string, err error) {
	if len(args) == 2 {
		return args[0], args[1], nil
	}
	if f.ociLayout {
		return "", "", fmt.Errorf("a MOUNTPOINT is needed too: orasfs mount --oci-layout %s DIR", args[0])
	}
	if _, err := os.Stat(args[0]); err != nil {
		if _, err := resolver.ParseTarget(args[0]); err == nil {
			return "", "", fmt.Errorf("a MOUNTPOINT is needed too: orasfs mount %s DIR", args[0])
		}
	}
	return everyRegistry, args[0], nil
}

// parseTarget reads a target.
func (f *mountFlags) parseTarget(text string) (target, error) {
	t := target{text: text}
	var err error
	switch {
	case f.follow && f.ociLayout:
		return t, errors.New("--follow is for a tag of a registry, not for --oci-layout")
	case f.ociLayout:
		err = t.parseLayout(text)
	case text != everyRegistry:
		t.Target, err = resolver.ParseTarget(text)
	}
	switch {
	case err != nil:
		return t, err
	case f.view.value != "" && t.Reference == "":
		return t, errors.New("--view is for one artifact: give a TARGET with a tag or a digest")
	case f.follow:
		return t, t.checkFollow()
	}
	return t, nil
}

// checkFollow fails unless the target is a tag of a registry.
func (t *target) checkFollow() error {
	switch {
	case t.Reference == "":
		return errors.New("--follow is for one artifact: give a TARGET with a tag, HOST/NAME:TAG")
	case !resolver.ValidTag(t.Reference):
		return errors.New("--follow needs a tag: a digest always means the same, leave out --follow or the digest")
	}
	return nil
}

// parseLayout reads PATH[:TAG|@DIGEST]. The path that the daemon is given is
// absolute, since its working directory is another.
func (t *target) parseLayout(text string) error {
	path, reference, err := resolver.ParseLayoutTarget(text)
	if err != nil {
		return err
	}
	if t.layout, err = filepath.Abs(path); err != nil {
		return err
	}
	t.Reference = reference
	t.text = t.layout
	switch {
	case reference == "":
	case strings.Contains(reference, ":"):
		t.text += "@" + reference
	default:
		t.text += ":" + reference
	}
	return nil
}
