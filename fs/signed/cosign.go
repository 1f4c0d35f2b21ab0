package signed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What cosign calls its signatures.
const (
	simpleSigningMediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureArtifactType  = "application/vnd.dev.cosign.artifact.sig.v1+json"
	signatureAnnotation    = "dev.cosignproject.cosign/signature"
	// bundleMediaType begins the types of Sigstore's bundles, of any version.
	bundleMediaType = "application/vnd.dev.sigstore.bundle"
)

// Bounds of what is looked at for one manifest.
const (
	maxSignatures = 128 // manifests and layers of them, each
	maxPayload    = 64 << 10
	maxBundle     = 1 << 20
	maxReasons    = 3 // that are told
)

// Verify implements Verifier: it looks for a signature that one of the keys has made,
// first under the tag where cosign 2 keeps them, then among what refers to the manifest.
func (k *Keys) Verify(ctx context.Context, s Subject) (string, error) {
	l := &search{keys: k, subject: s, seen: map[digest.Digest]bool{}}
	for _, look := range []func(context.Context) error{l.tagged, l.referrers} {
		if err := look(ctx); err != nil {
			return "", err
		}
		if l.by != "" {
			return "key " + l.by, nil
		}
	}
	if l.undecided != nil {
		return "", l.undecided
	}
	return "", &DeniedError{Who: "the keys", Why: l.why()}
}

// A search is one for signatures of a manifest.
type search struct {
	keys    *Keys
	subject Subject

	seen      map[digest.Digest]bool // manifests and layers
	looked    int                    // at manifests and layers
	reasons   []string               // why signatures don't count
	more      int                    // further ones
	undecided error                  // of what couldn't be looked at now
	by        string                 // the key that has signed
}

// why says why nothing was found.
func (l *search) why() string {
	if len(l.reasons) == 0 {
		return "there is no signature"
	}
	why := strings.Join(l.reasons, "; ")
	if l.more > 0 {
		why += fmt.Sprintf("; and %d more", l.more)
	}
	return why
}

// pass notes why something doesn't count. What can't be told now is kept: if nothing
// else counts it is the answer.
func (l *search) pass(what digest.Digest, err error) {
	switch {
	case errors.Is(err, ErrUndecided):
		if l.undecided == nil {
			l.undecided = err
		}
	case len(l.reasons) < maxReasons:
		l.reasons = append(l.reasons, fmt.Sprintf("signature %s: %v", what, err))
	default:
		l.more++
	}
}

// next tells whether one more is looked at.
func (l *search) next(d digest.Digest) bool {
	if l.by != "" || l.seen[d] {
		return false
	}
	l.seen[d] = true
	if l.looked++; l.looked > maxSignatures {
		l.pass(d, fmt.Errorf("no more than %d are looked at", maxSignatures))
		return false
	}
	return true
}

// SignatureTag is the tag under which cosign 2 keeps the signatures of a manifest.
func SignatureTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() + ".sig" }

// tagged looks at what cosign 2 writes.
func (l *search) tagged(ctx context.Context) error {
	d, err := l.subject.Attached.Tagged(ctx, SignatureTag(l.subject.Descriptor.Digest))
	if err == nil {
		l.manifest(ctx, d, false)
	} else if errors.Is(err, ErrUndecided) {
		l.pass("", err)
	}
	return ctx.Err()
}

// referrers looks at what refers to the manifest.
func (l *search) referrers(ctx context.Context) error {
	found, err := l.subject.Attached.Referrers(ctx)
	if err != nil && errors.Is(err, ErrUndecided) {
		l.pass("", err)
	}
	for _, desc := range found {
		if maySign(desc.ArtifactType) {
			l.manifest(ctx, desc.Digest, true)
		}
	}
	return ctx.Err()
}

// maySign tells whether what is said to be of that type may hold signatures. Where a tag
// takes the place of the referrers API, cosign says of bundles there what their config is.
func maySign(artifactType string) bool {
	return artifactType == signatureArtifactType || strings.HasPrefix(artifactType, bundleMediaType) ||
		artifactType == "" || artifactType == ocispec.MediaTypeEmptyJSON
}

// manifest looks at the layers of a manifest of signatures.
func (l *search) manifest(ctx context.Context, d digest.Digest, refers bool) {
	if !l.next(d) {
		return
	}
	layers, subject, err := l.subject.Attached.Layers(ctx, d)
	if err == nil && refers && subject != l.subject.Descriptor.Digest {
		err = fmt.Errorf("it refers to %q", subject)
	}
	if err != nil {
		l.pass(d, err)
		return
	}
	for _, layer := range layers {
		l.layer(ctx, layer)
	}
}

// layer looks at one signature.
func (l *search) layer(ctx context.Context, layer ocispec.Descriptor) {
	simple := layer.MediaType == simpleSigningMediaType
	if !simple && !strings.HasPrefix(layer.MediaType, bundleMediaType) {
		return
	}
	// Several signatures may be of one payload.
	if !l.next(digest.FromString(layer.Digest.String() + layer.Annotations[signatureAnnotation])) {
		return
	}
	most := int64(maxBundle)
	if simple {
		most = maxPayload
	}
	if layer.Size > most {
		l.pass(layer.Digest, fmt.Errorf("its %d bytes are more than %d", layer.Size, most))
		return
	}
	content, err := l.subject.Attached.Blob(ctx, layer)
	if err != nil {
		l.pass(layer.Digest, err)
		return
	}
	var by key
	if simple {
		by, err = l.keys.checkSimple(content, layer.Annotations[signatureAnnotation], l.subject.Descriptor.Digest)
	} else {
		by, err = l.keys.checkBundle(content, l.subject.Descriptor.Digest, l.subject.Content)
	}
	if err != nil {
		l.pass(layer.Digest, err)
		return
	}
	l.by = by.file
}

// checkSimple is the key that has signed a payload which is for the manifest.
func (k *Keys) checkSimple(payload []byte, signature string, d digest.Digest) (key, error) {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(raw) == 0 {
		return key{}, fmt.Errorf("its annotation %s is no signature", signatureAnnotation)
	}
	by, ok := k.maker(raw, payload)
	if !ok {
		return key{}, errNoMaker
	}
	return by, checkSimpleSigning(payload, d)
}
