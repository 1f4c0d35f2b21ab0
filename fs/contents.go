package fs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

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
	// EveryPlatform is all of the manifests that an index lists, and those that an index
	// in it does.
	EveryPlatform bool
	// Wanted, if not nil, tells by a path what of files/ and of rootfs/ is wanted.
	Wanted func(path string) bool
}

// ErrPath is the error of a choice of which an artifact has nothing that can be fetched.
var ErrPath = errors.New("nothing to fetch there")

// Parts are what a choice consists of, none twice, and what of it can't be had or isn't
// there, which is ErrPath.
//
// What of an image is at some paths takes its tree. Where known is set nothing is asked
// for but manifests and configs: without a tree all of its layers take its place.
func (c *Contents) Parts(ctx context.Context, w Choice, known bool) (parts []*Part, failed []error) {
	a, err := c.artifact(ctx, w.Target)
	if err != nil {
		return nil, []error{err}
	}
	at := strings.TrimPrefix(path.Clean("/"+w.Path), "/")
	if rest, ok := below(at, "platforms"); ok && a.IsIndex() {
		var name string
		if name, at, _ = strings.Cut(rest, "/"); name == "" {
			w.EveryPlatform = true
		} else if a, err = a.ofPlatform(ctx, name); err != nil {
			return nil, []error{err}
		}
	}
	s := &selection{ctx: ctx, wanted: w.Wanted, known: known, met: map[string]bool{}}
	if w.EveryPlatform && a.IsIndex() {
		failed = s.every(a, at)
		return s.parts, failed
	}
	of, _, err := a.forHost(ctx)
	if err == nil && of == nil {
		err = fmt.Errorf("%w: %s has no manifest for %s", ErrPath, a.reference(), artifact.PlatformString(c.tree.platform))
	}
	if err == nil {
		err = s.take(of, at)
	}
	if err != nil {
		failed = []error{err}
	}
	return s.parts, failed
}

// artifact is what a target's reference refers to.
func (c *Contents) artifact(ctx context.Context, of resolver.Target) (*repositoryArtifact, error) {
	r, err := c.tree.registry(ctx, of.Host)
	if err != nil {
		return nil, err
	}
	repo, err := r.repository(of.Name)
	if err != nil {
		return nil, err
	}
	return c.tree.referred(ctx, repo, of.Reference)
}

// ofPlatform is the manifest of an index that has that name in platforms/.
func (a *repositoryArtifact) ofPlatform(ctx context.Context, name string) (*repositoryArtifact, error) {
	i, ok := a.Platforms[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s has no platform %s", ErrPath, a.reference(), name)
	}
	return a.repo.artifact(ctx, a.Manifests[i].Digest)
}

// Bounds of the manifests below an index that are all wanted: as for its layout.
const (
	maxEvery      = 1024
	maxEveryBytes = 64 << 20
)

// every takes what is at a path of all manifests below an index. One that can't be had
// doesn't keep the others away; that some have nothing there is no failure.
func (s *selection) every(index *repositoryArtifact, path string) (failed []error) {
	var nowhere error
	taken, size := 0, int64(0)
	met := map[digest.Digest]bool{index.Digest: true}
	for left := []*repositoryArtifact{index}; len(left) > 0; left = left[1:] {
		for _, m := range left[0].Manifests {
			if met[m.Digest] {
				continue
			}
			met[m.Digest] = true
			a, err := index.repo.artifact(s.ctx, m.Digest)
			if err == nil {
				size += a.Size
			}
			switch {
			case s.ctx.Err() != nil:
				return []error{s.ctx.Err()}
			case len(met) > maxEvery || size > maxEveryBytes:
				return append(failed, fmt.Errorf("%s has more than %d manifests, or %d MiB of them", index.reference(), maxEvery, maxEveryBytes>>20))
			case err == nil && a.IsIndex():
				left = append(left, a)
				continue
			case err == nil:
				err = s.take(a, path)
			}
			switch {
			case err == nil:
				taken++
			case errors.Is(err, ErrPath):
				nowhere = err
			default:
				failed = append(failed, err)
			}
		}
	}
	if taken == 0 && nowhere != nil {
		failed = append(failed, nowhere)
	}
	return failed
}

// below is the path below a directory's, "" for itself; false where it isn't there.
func below(path, dir string) (rest string, ok bool) {
	if path == dir {
		return "", true
	}
	return strings.CutPrefix(path, dir+"/")
}
