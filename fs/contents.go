package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// Contents is what a mount of every registry would show, without one: for who brings it
// into the cache ahead of use.
type Contents struct{ tree *tree }

// OpenContents needs of the options Connect and Cache, and what else isn't for a mount
// alone. It asks nobody. The caller closes it; ctx ends with it at the latest.
func OpenContents(ctx context.Context, o Options) *Contents {
	o.setDefaults()
	return &Contents{newTree(ctx, o)}
}

// Close ends everything that was begun, and waits for it.
func (c *Contents) Close() { c.tree.close() }

// A Choice is what of an artifact is wanted.
type Choice struct {
	resolver.Target // with a Reference
	// Path is below the artifact's directory, as a mount has it: files, rootfs, layers or
	// platforms and what is below them, or the config; "" is everything that the artifact
	// lists. Of an index that is of the manifest for Options.Platform.
	Path string
	// EveryPlatform is all of the manifests that an index lists.
	EveryPlatform bool
	// Wanted, if not nil, tells by a path what of files/ and of rootfs/ is wanted.
	Wanted func(path string) bool
}

// Parts are what a choice consists of, none twice. An error is that there is no such
// thing, or that a manifest can't be had; ErrPath is the artifact's.
//
// What of an image is at some paths takes its tree. Where known is set nothing is asked
// for but manifests and configs: without a tree all of its layers take its place.
func (c *Contents) Parts(ctx context.Context, w Choice, known bool) ([]*Part, error) {
	r, err := c.tree.registry(ctx, w.Host)
	if err != nil {
		return nil, err
	}
	repo, err := r.repository(w.Name)
	if err != nil {
		return nil, err
	}
	a, err := c.tree.referred(ctx, repo, Options{Reference: w.Reference})
	if err != nil {
		return nil, err
	}
	all, path, err := c.manifests(ctx, a, w)
	if err != nil {
		return nil, err
	}
	s := &selection{ctx: ctx, wanted: w.Wanted, known: known, met: map[string]bool{}}
	for _, a := range all {
		if err := s.take(a, path); err != nil {
			return nil, err
		}
	}
	return s.parts, nil
}

// manifests are the artifacts that a choice is about, and the path in each.
func (c *Contents) manifests(ctx context.Context, a *repositoryArtifact, w Choice) (all []*repositoryArtifact, path string, err error) {
	path = strings.Trim(w.Path, "/")
	if rest, ok := below(path, "platforms"); ok && a.IsIndex() {
		platform, rest, _ := strings.Cut(rest, "/")
		if platform == "" {
			w.EveryPlatform = true
		} else {
			i, ok := a.Platforms[platform]
			if !ok {
				return nil, "", fmt.Errorf("%w: %s has no platform %s", ErrPath, w.reference(), platform)
			}
			a, err = a.repo.artifact(ctx, a.Manifests[i].Digest)
			if err != nil {
				return nil, "", err
			}
		}
		path = rest
	}
	if w.EveryPlatform && a.IsIndex() {
		for _, m := range distinct(a.Manifests) {
			child, err := a.repo.artifact(ctx, m.Digest)
			if err != nil {
				return nil, "", err
			}
			all = append(all, child)
		}
		return all, path, nil
	}
	of, _, err := a.forHost(ctx)
	if err == nil && of == nil {
		err = fmt.Errorf("%w: %s has no manifest for %s", ErrPath, w.reference(), artifact.PlatformString(c.tree.platform))
	}
	return []*repositoryArtifact{of}, path, err
}

// distinct leaves out what is listed before.
func distinct(list []ocispec.Descriptor) []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, d := range list {
		if !slices.ContainsFunc(all, func(o ocispec.Descriptor) bool { return o.Digest == d.Digest }) {
			all = append(all, d)
		}
	}
	return all
}

// reference names the artifact for people.
func (w Choice) reference() string {
	o := Options{Prefix: w.Name, Reference: w.Reference}
	separator := ":"
	if _, err := parseDigest(o.Reference); err == nil {
		separator = "@"
	}
	return w.Host + "/" + w.Name + separator + w.Reference
}

// below is the path below a directory's, "" for itself; false where it isn't there.
func below(path, dir string) (rest string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, dir+"/")
}

// ErrPath is the error of a path at which an artifact has nothing that can be fetched.
var ErrPath = errors.New("nothing to fetch there")
