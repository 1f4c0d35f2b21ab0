package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// mountOptions are what -o says, sorted by whom it is for.
type mountOptions struct {
	kernel     []string // in the kernel's spelling, fusermount3's too
	allowOther bool
	uid, gid   *uint32 // who owns what has no owner of its own; nil is whoever mounts
	flags      []flagOption
}

// A flagOption is a long flag given by its name in -o.
type flagOption struct{ name, value string }

// writableOptions are refused, because a mount of orasfs is always
// ro,nosuid,nodev.
var writableOptions = map[string]string{
	"rw":   "the mount is always read-only",
	"suid": "the mount is always nosuid: a registry's files must not run as another user",
	"dev":  "the mount is always nodev: a registry's files must not be devices",
}

// ignoredOptions are accepted and dropped: what every mount of orasfs is or
// makes no difference to it, and what fstab(5) says to mount(8), systemd and
// others.
var ignoredOptions = []string{
	"ro", "nosuid", "nodev", "defaults",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
	"sync", "async", "dirsync", "silent", "loud",
	"auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev",
}

// parseMountOptions sorts the values of -o, each a comma-separated list. For
// the mount helper rw, suid and dev are nobody's wish: mount.fuse3 adds them
// wherever the opposite isn't given.
func parseMountOptions(values []string, flags *pflag.FlagSet, helper bool) (mountOptions, error) {
	var o mountOptions
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			reason, writable := writableOptions[option]
			switch {
			case option == "" || isIgnoredOption(option) || writable && helper:
			case writable:
				return mountOptions{}, fmt.Errorf("-o %s: %s", option, reason)
			case isOwner(option):
				if err := o.parseOwner(option); err != nil {
					return mountOptions{}, fmt.Errorf("-o %s: %w", option, err)
				}
			case option == "allow_other":
				o.allowOther = true
			case option == "exec":
				o.kernel = slices.DeleteFunc(o.kernel, func(k string) bool { return k == "noexec" })
			case option == "noexec" || option == "default_permissions":
				if !slices.Contains(o.kernel, option) {
					o.kernel = append(o.kernel, option)
				}
			default:
				f, err := parseFlagOption(option, flags)
				switch {
				case err != nil && o.hasHeader(): // it may be a part of the value
					return mountOptions{}, errors.New("-o header=…: what follows is no option, and a header with a comma can't be one: use --header or ORASFS_HEADER")
				case err != nil:
					return mountOptions{}, fmt.Errorf("-o %s: %w", option, err)
				}
				o.flags = append(o.flags, f)
			}
		}
	}
	return o, nil
}

// isOwner tells whether an option says who owns what has no owner of its own.
func isOwner(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	return name == "uid" || name == "gid"
}

// parseOwner takes uid=N or gid=N. The largest number that there is means nobody.
func (o *mountOptions) parseOwner(option string) error {
	kind, text, _ := strings.Cut(option, "=")
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == math.MaxUint32 {
		return fmt.Errorf("a number is needed, 0 to %d", uint32(math.MaxUint32-1))
	}
	id := uint32(number)
	if kind == "uid" {
		o.uid = &id
	} else {
		o.gid = &id
	}
	return nil
}

// daemons are the options that a daemon is given.
func (o *mountOptions) daemons() []string {
	var options []string
	if o.allowOther {
		options = append(options, "allow_other")
	}
	if o.uid != nil {
		options = append(options, fmt.Sprintf("uid=%d", *o.uid))
	}
	if o.gid != nil {
		options = append(options, fmt.Sprintf("gid=%d", *o.gid))
	}
	return append(options, o.kernel...)
}

// hasHeader tells whether a header has been given so far.
func (o *mountOptions) hasHeader() bool {
	return slices.ContainsFunc(o.flags, func(f flagOption) bool { return f.name == "header" })
}

// isIgnoredOption tells whether an option is for others; x-… and comment=…
// are (mount(8)).
func isIgnoredOption(option string) bool {
	lower := strings.ToLower(option)
	return slices.Contains(ignoredOptions, option) || strings.HasPrefix(lower, "x-") || strings.HasPrefix(lower, "comment=")
}

func parseFlagOption(option string, flags *pflag.FlagSet) (flagOption, error) {
	name, value, hasValue := strings.Cut(option, "=")
	f := flags.Lookup(name)
	if f == nil || name == "help" || name == "options" {
		return flagOption{}, errors.New("neither a mount option nor a flag of orasfs mount")
	}
	if !hasValue {
		if f.NoOptDefVal == "" {
			return flagOption{}, fmt.Errorf("needs a value: %s=…", name)
		}
		value = f.NoOptDefVal
	}
	return flagOption{name: name, value: value}, nil
}

// applyFlagOptions sets the flags that aren't set yet. Of two options with one
// name the last holds, but all do for a flag that can be repeated.
func applyFlagOptions(options []flagOption, flags *pflag.FlagSet) error {
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	for _, o := range options {
		if given[o.name] {
			continue
		}
		if err := flags.Set(o.name, o.value); err != nil {
			return fmt.Errorf("-o %s=%s: %w", o.name, o.value, err)
		}
	}
	return nil
}
