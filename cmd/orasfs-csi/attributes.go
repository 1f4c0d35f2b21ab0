//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// wants are what a volume asks for: the attributes that its pod or PersistentVolume
// gives. It is known by them again when it is published once more.
type wants struct {
	Share share `json:"share"`

	SubPath string   `json:"subPath,omitempty"`
	Warm    string   `json:"warm,omitempty"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// A share is that part of what a volume wants which says how its artifact is mounted.
// Volumes that want the same share a process.
type share struct {
	Reference string   `json:"reference"`
	View      string   `json:"view,omitempty"`
	Platform  string   `json:"platform,omitempty"`
	Verify    string   `json:"verify,omitempty"`
	Follow    bool     `json:"follow,omitempty"`
	PlainHTTP string   `json:"plainHTTP,omitempty"` // true or false; "" leaves it to orasfs
	Options   []string `json:"options,omitempty"`
	// Namespace is that of a pod that brings a secret: what is there isn't shared with
	// another's, although it is the same now.
	Namespace string `json:"namespace,omitempty"`
}

// The values of warm.
const (
	warmNone       = "none"
	warmBackground = "background"
	warmBefore     = "before"
)

// maxAttribute bounds an attribute in bytes: each ends up in a file and in a command
// line.
const maxAttribute = 4096

// attributes are those that a volume may have, by name, and what each sets.
var attributes = map[string]func(w *wants, value string) error{
	"reference": func(w *wants, v string) error { w.Share.Reference = v; return nil },
	"view":      oneOf(func(w *wants) *string { return &w.Share.View }, "files", "rootfs", "layout"),
	"platform":  func(w *wants, v string) error { w.Share.Platform = v; return nil },
	"verify":    oneOf(func(w *wants) *string { return &w.Share.Verify }, "lazy", "full"),
	"plainHTTP": oneOf(func(w *wants) *string { return &w.Share.PlainHTTP }, "true", "false"),
	"follow": func(w *wants, v string) (err error) {
		if w.Share.Follow, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		return nil
	},
	"mountOptions": func(w *wants, v string) error {
		w.Share.Options = append(w.Share.Options, strings.Split(v, ",")...)
		return nil
	},
	"subPath": func(w *wants, v string) error { w.SubPath = v; return checkSubPath(v) },
	"warm":    oneOf(func(w *wants) *string { return &w.Warm }, warmNone, warmBackground, warmBefore),
	"include": func(w *wants, v string) error { w.Include = patterns(v); return nil },
	"exclude": func(w *wants, v string) error { w.Exclude = patterns(v); return nil },
}

// Attributes that begin like these are of Kubernetes' own making.
const (
	fromKubernetes = "csi.storage.k8s.io/"
	ofProvisioner  = "storage.kubernetes.io/"
	podNamespace   = fromKubernetes + "pod.namespace"
	isEphemeral    = fromKubernetes + "ephemeral"
)

// parseWants reads a volume's attributes. reference is what is mounted where they don't
// say: the handle of a persistent volume. group is the pod's fsGroup, "" without one.
func parseWants(given map[string]string, reference string, options []string, group string) (wants, error) {
	w := wants{Warm: warmNone, Share: share{Options: options}}
	if given[isEphemeral] != "true" {
		w.Share.Reference = reference
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if strings.HasPrefix(name, fromKubernetes) || strings.HasPrefix(name, ofProvisioner) {
			continue
		}
		set, known := attributes[name]
		if !known {
			return wants{}, fmt.Errorf("no attribute is called %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(attributes)), ", "))
		}
		value := given[name]
		switch {
		case value == "":
			continue // as if it weren't there
		case len(value) > maxAttribute:
			return wants{}, fmt.Errorf("attribute %s has more than %d bytes", name, maxAttribute)
		case strings.ContainsRune(value, 0):
			return wants{}, fmt.Errorf("attribute %s has a zero byte", name)
		}
		if err := set(&w, value); err != nil {
			return wants{}, fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	if group != "" && !slices.ContainsFunc(w.Share.Options, func(o string) bool { return strings.HasPrefix(o, "gid=") }) {
		w.Share.Options = append(w.Share.Options[:len(w.Share.Options):len(w.Share.Options)], "gid="+group)
	}
	return w, w.check()
}

// check finds what can't be had, or not together.
func (w *wants) check() error {
	if err := checkReference(w.Share.Reference); err != nil {
		return err
	}
	var err error
	if w.Share.Options, err = allowedOptions(w.Share.Options); err != nil {
		return err
	}
	switch {
	case w.Share.Follow && strings.Contains(w.Share.Reference, "@"):
		return fmt.Errorf("follow: %s is a digest, and stays what it is", w.Share.Reference)
	case w.Share.Follow && w.SubPath != "":
		return fmt.Errorf("follow and subPath: a part of what is mounted can't move on with its tag: mount all of it")
	case w.Warm == warmNone && len(w.Include)+len(w.Exclude) > 0:
		return fmt.Errorf("include and exclude choose what warm fetches, and warm is none: everything is shown, and fetched when it is read")
	}
	return nil
}

// checkReference finds what doesn't mean one artifact: HOST[:PORT]/NAME:TAG or @DIGEST.
// The rest is found by orasfs.
func checkReference(reference string) error {
	host, name, found := strings.Cut(reference, "/")
	switch {
	case reference == "":
		return fmt.Errorf("the attribute reference is needed: HOST/NAME:TAG or HOST/NAME@DIGEST")
	case !found || host != "localhost" && !strings.ContainsAny(host, ".:"):
		return fmt.Errorf("reference %q has no registry: it is HOST/NAME:TAG, as docker.io/library/nginx:1.27", reference)
	case !strings.ContainsAny(name, ":@"):
		return fmt.Errorf("reference %q has no tag and no digest", reference)
	case strings.HasPrefix(reference, "-") || strings.ContainsAny(reference, " \t\r\n"):
		return fmt.Errorf("%q is no reference", reference)
	}
	return nil
}

// checkSubPath finds what isn't a path below the top of an artifact.
func checkSubPath(path string) error {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%q isn't a path below the top of the artifact", path)
		}
	}
	return nil
}

// oneOf is an attribute that has one of a few values.
func oneOf(field func(*wants) *string, values ...string) func(*wants, string) error {
	return func(w *wants, v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q isn't one of %s", v, strings.Join(values, ", "))
		}
		*field(w) = v
		return nil
	}
}

// patterns are those of a list, which commas or ends of lines separate. A comma in
// braces is a part of its pattern, and so is what a backslash takes its meaning from.
func patterns(list string) (all []string) {
	depth, from, escaped := 0, 0, false
	for i, r := range list + "\n" {
		switch plain := !escaped; {
		case r == '\n', r == ',' && plain && depth == 0:
			if p := strings.TrimSpace(list[from:i]); p != "" {
				all = append(all, p)
			}
			depth, from = 0, i+1
		case r == '{' && plain:
			depth++
		case r == '}' && plain:
			depth = max(depth-1, 0)
		}
		escaped = r == '\\' && !escaped
	}
	return all
}

// freeOptions may be among mountOptions as they are; to those of valuedOptions a value
// is given. Any other is refused: a pod's author chooses them, and orasfs has options
// that name files of the node, or how much of its memory is used.
var (
	freeOptions   = []string{"ro", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "exec", "noexec", "default_permissions"}
	valuedOptions = []string{"uid", "gid", "tag-ttl", "max-stale", "concurrency", "passthrough"}
)

// allowedOptions are options without those that are empty, each once and in order. One
// has one value.
func allowedOptions(options []string) ([]string, error) {
	var all []string
	for _, option := range options {
		name, value, valued := strings.Cut(option, "=")
		switch {
		case option == "":
		case strings.Contains(value, ","): // would be another option
			return nil, fmt.Errorf("mount option %q has a comma", option)
		case !valued && slices.Contains(freeOptions, option), valued && slices.Contains(valuedOptions, name):
			all = append(all, option)
		default:
			return nil, fmt.Errorf("mount option %q isn't one of %s, %s=…", option, strings.Join(freeOptions, ", "), strings.Join(valuedOptions, "=…, "))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for i, option := range all {
		name, _, valued := strings.Cut(option, "=")
		if i > 0 && valued && strings.HasPrefix(all[i-1], name+"=") {
			return nil, fmt.Errorf("mount options %s and %s: which one is it?", all[i-1], option)
		}
	}
	return all, nil
}
