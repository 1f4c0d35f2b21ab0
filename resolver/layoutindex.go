package resolver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A layoutIndex is what one content of index.json says.
type layoutIndex struct {
	digest    digest.Digest // of the content
	manifests []ocispec.Descriptor
	tags      map[string]ocispec.Descriptor
	referrers atomic.Pointer[referrersBySubject] // nil until they are asked for
}

// oras writes index.json in place: for a moment it is empty, or becomes shorter
// while it is read.
const (
	indexReads = 5
	indexWait  = 10 * time.Millisecond
)

// index is what index.json says now: a folder's changes under a push. It is
// read for each question, and parsed where it isn't what it was before.
func (l *Layout) index(ctx context.Context) (*layoutIndex, error) {
	for read := 1; ; read++ {
		index, err := l.readIndex(ctx)
		var partial *json.SyntaxError
		torn := errors.As(err, &partial) || errors.Is(err, io.ErrUnexpectedEOF)
		if !torn || read == indexReads {
			return index, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(indexWait):
		}
	}
}

func (l *Layout) readIndex(ctx context.Context) (*layoutIndex, error) {
	content, err := l.read(ctx, ocispec.ImageIndexFile, MaxManifest)
	if err != nil {
		return nil, err
	}
	d := digest.FromBytes(content)
	if known := l.known.Load(); known != nil && known.digest == d {
		return known, nil
	}
	manifests, leftOut, err := parseLayoutIndex(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	if leftOut != nil {
		l.log.Warn("left out: no descriptors", "layout", l.path, "file", ocispec.ImageIndexFile, "which", leftOut)
	}
	index := &layoutIndex{digest: d, manifests: manifests}
	index.tag(l)
	l.known.Store(index)
	return index, nil
}

// maxIndexAnnotations bounds those in index.json: containerd and BuildKit write
// three for each image.
const maxIndexAnnotations = 4 * maxDescriptors

// parseLayoutIndex reads index.json. It is an index, of as many images as one may
// have, whatever it says it is; what it lists that is no descriptor is left out.
func parseLayoutIndex(content []byte) (manifests []ocispec.Descriptor, leftOut, err error) {
	if bytes.Count(content, []byte(",")) > maxElements {
		return nil, nil, fmt.Errorf("more than %d values: %w", maxElements, errdef.ErrSizeExceedsLimit)
	}
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, nil, err
	}
	if doc.MediaType != "" && kindOf(doc.MediaType) != kindIndex {
		return nil, nil, fmt.Errorf("it says it is %q", doc.MediaType)
	}
	return doc.Manifests.good(), doc.leftOut(), doc.check(kindIndex, maxIndexAnnotations)
}

// annotationImageName is where containerd and docker write an image's whole
// name; the name that the image specification has is the tag alone then.
const annotationImageName = "io.containerd.image.name"

// tag finds the tags. A manifest has the tag that its annotation is, or that
// stands at the end of the reference that it is, unless another has that tag
// outright. Of several with one tag the last has it, as with oras.
func (x *layoutIndex) tag(l *Layout) {
	outright, derived := make(map[string]ocispec.Descriptor), make(map[string]ocispec.Descriptor)
	var doubled string
	for _, desc := range x.manifests {
		name := cmp.Or(desc.Annotations[ocispec.AnnotationRefName], desc.Annotations[annotationImageName])
		tags, tag := derived, tagOf(name)
		if name == desc.Annotations[ocispec.AnnotationRefName] && ValidTag(name) {
			tags, tag = outright, name
		}
		if tag == "" {
			continue
		}
		if before, ok := tags[tag]; ok && before.Digest != desc.Digest {
			doubled = tag
		}
		tags[tag] = desc
	}
	maps.Copy(derived, outright)
	x.tags = derived
	if doubled != "" {
		l.log.Warn("several manifests have one tag: the last one has it", "layout", l.path, "tag", doubled)
	}
}

// tagOf is the tag of a reference, "" where it has none.
func tagOf(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if i := strings.LastIndexByte(name, ':'); i >= 0 && ValidTag(name[i+1:]) {
		return name[i+1:]
	}
	return ""
}

// mediaType is that of a manifest that index.json lists.
func (x *layoutIndex) mediaType(d digest.Digest) (mediaType string, listed bool) {
	i := slices.IndexFunc(x.manifests, func(desc ocispec.Descriptor) bool { return desc.Digest == d })
	if i < 0 {
		return "", false
	}
	return x.manifests[i].MediaType, true
}

// Tags calls page with the layout's tags, sorted, each once. Where there are
// none it isn't called.
func (l *Layout) Tags(ctx context.Context, page func(tags []string) error) error {
	index, err := l.index(ctx)
	if err == nil && len(index.tags) > 0 {
		err = page(slices.Sorted(maps.Keys(index.tags)))
	}
	if err != nil {
		return fmt.Errorf("list tags of %s: %w", l.path, err)
	}
	return nil
}

// Manifests are those that index.json lists, tagged or not.
func (l *Layout) Manifests(ctx context.Context) ([]ocispec.Descriptor, error) {
	index, err := l.index(ctx)
	if err != nil {
		return nil, fmt.Errorf("list manifests of %s: %w", l.path, err)
	}
	return slices.Clone(index.manifests), nil
}
