package signed

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestContent is the manifest that is asked about.
const manifestContent = `{"schemaVersion":2}`

var manifestDigest = digest.FromString(manifestContent)

var (
	errGone = errors.New("it is gone")
	errDown = fmt.Errorf("%w: the registry is down", ErrUndecided)
)

// A beside is what a repository has beside that manifest.
type beside struct {
	down      bool
	tagged    digest.Digest
	referrers []ocispec.Descriptor
	manifests map[digest.Digest]signatures
	blobs     map[digest.Digest][]byte
	asked     int
}

type signatures struct {
	layers  []ocispec.Descriptor
	subject digest.Digest
}

func newBeside() *beside {
	return &beside{manifests: map[digest.Digest]signatures{}, blobs: map[digest.Digest][]byte{}}
}

func (b *beside) answer(there bool) error {
	b.asked++
	switch {
	case b.down:
		return errDown
	case !there:
		return errGone
	}
	return nil
}

func (b *beside) Reachable(context.Context) error { return b.answer(true) }

func (b *beside) Tagged(_ context.Context, tag string) (digest.Digest, error) {
	return b.tagged, b.answer(b.tagged != "" && tag == "sha256-"+manifestDigest.Encoded()+".sig")
}

func (b *beside) Referrers(context.Context) ([]ocispec.Descriptor, error) {
	return b.referrers, b.answer(true)
}

func (b *beside) Layers(_ context.Context, d digest.Digest) ([]ocispec.Descriptor, digest.Digest, error) {
	m, ok := b.manifests[d]
	return m.layers, m.subject, b.answer(ok)
}

func (b *beside) Blob(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	content, ok := b.blobs[desc.Digest]
	return content, b.answer(ok)
}

// blob adds a blob.
func (b *beside) blob(mediaType string, content []byte, annotations map[string]string) ocispec.Descriptor {
	d := digest.FromBytes(content)
	b.blobs[d] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content)), Annotations: annotations}
}

// manifest adds a manifest of signatures.
func (b *beside) manifest(subject digest.Digest, layers ...ocispec.Descriptor) digest.Digest {
	content, _ := json.Marshal(layers)
	d := digest.FromBytes(append(content, subject...))
	b.manifests[d] = signatures{layers, subject}
	return d
}

// refer adds a referrer.
func (b *beside) refer(artifactType string, layers ...ocispec.Descriptor) {
	d := b.manifest(manifestDigest, layers...)
	b.referrers = append(b.referrers, ocispec.Descriptor{Digest: d, ArtifactType: artifactType})
}

// verify asks about the manifest.
func (b *beside) verify(k Verifier) (string, error) {
	return k.Verify(context.Background(), Subject{
		Name:       "host/app@" + manifestDigest.String(),
		Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: manifestDigest, Size: int64(len(manifestContent))},
		Content:    []byte(manifestContent), Attached: b,
	})
}

// simplePayload is what cosign 2 signs.
func simplePayload(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"host/app"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, d)
}

// simple adds a signature of cosign 2.
func (b *beside) simple(t testing.TB, s crypto.Signer, payload []byte) ocispec.Descriptor {
	t.Helper()
	signature := base64.StdEncoding.EncodeToString(signWith(t, s, crypto.SHA256, payload))
	return b.blob(simpleSigningMediaType, payload, map[string]string{signatureAnnotation: signature})
}

// inToto is a statement.
func inToto(predicate string, d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{}}`, d.Encoded(), predicate)
}

// sealed is a bundle of a signed envelope.
func sealed(t testing.TB, s crypto.Signer, payloadType string, payload []byte) []byte {
	t.Helper()
	e := &envelope{Payload: payload, PayloadType: payloadType}
	signature := signWith(t, s, crypto.SHA256, e.encoded())
	return fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":%q}]}}`,
		base64.StdEncoding.EncodeToString(payload), payloadType, base64.StdEncoding.EncodeToString(signature))
}

// messageBundle is a bundle that signs the manifest itself.
func messageBundle(t testing.TB, s crypto.Signer, content []byte, said digest.Digest) []byte {
	t.Helper()
	signature := base64.StdEncoding.EncodeToString(signWith(t, s, crypto.SHA256, content))
	raw, err := hex.DecodeString(said.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":%q},"signature":%q}}`,
		base64.StdEncoding.EncodeToString(raw), signature)
}

const bundleV03 = bundleMediaType + ".v0.3+json"

// TestSignatures has every way in which a manifest is signed, and isn't.
func TestSignatures(t *testing.T) {
	ours, theirs := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	k := load(t, publicFile(t, ours))
	other := digest.FromString("other")
	tag := func(layers func(b *beside) []ocispec.Descriptor) func(b *beside) {
		return func(b *beside) { b.tagged = b.manifest("", layers(b)...) }
	}
	bundled := func(content []byte) func(b *beside) {
		return func(b *beside) { b.refer(bundleV03, b.blob(bundleV03, content, nil)) }
	}
	for _, test := range []struct {
		name string
		add  func(b *beside)
		why  string // it is denied; "" is that it is allowed
	}{
		{"nothing", func(*beside) {}, "there is no signature"},
		{"by the tag", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, ours, simplePayload(manifestDigest))}
		}), ""},
		{"the second one", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, theirs, simplePayload(manifestDigest)), b.simple(t, ours, simplePayload(manifestDigest))}
		}), ""},
		{"by another key", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, theirs, simplePayload(manifestDigest))}
		}), "none of the keys"},
		{"of another digest", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, ours, simplePayload(other))}
		}), "it is for " + other.String()},
		{"no signature's payload", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, ours, []byte(strings.ReplaceAll(string(simplePayload(manifestDigest)), "cosign container", "other")))}
		}), "of the type"},
		{"payload that isn't JSON", tag(func(b *beside) []ocispec.Descriptor { return []ocispec.Descriptor{b.simple(t, ours, []byte("{"))} }), "no JSON"},
		{"payload without a digest", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.simple(t, ours, simplePayload(""))}
		}), "no digest"},
		{"payload that was exchanged", tag(func(b *beside) []ocispec.Descriptor {
			desc := b.simple(t, ours, simplePayload(other))
			b.blobs[desc.Digest] = simplePayload(manifestDigest)
			return []ocispec.Descriptor{desc}
		}), "none of the keys"},
		{"payload that is gone", tag(func(b *beside) []ocispec.Descriptor {
			desc := b.simple(t, ours, simplePayload(manifestDigest))
			delete(b.blobs, desc.Digest)
			return []ocispec.Descriptor{desc}
		}), "it is gone"},
		{"payload that is too large", tag(func(b *beside) []ocispec.Descriptor {
			desc := b.simple(t, ours, simplePayload(manifestDigest))
			desc.Size = maxPayload + 1
			return []ocispec.Descriptor{desc}
		}), "more than 65536"},
		{"annotation that is none", tag(func(b *beside) []ocispec.Descriptor {
			return []ocispec.Descriptor{b.blob(simpleSigningMediaType, simplePayload(manifestDigest), map[string]string{signatureAnnotation: "*"})}
		}), "is no signature"},
		{"layer of another type", tag(func(b *beside) []ocispec.Descriptor {
			desc := b.simple(t, ours, simplePayload(manifestDigest))
			desc.MediaType = "text/plain"
			return []ocispec.Descriptor{desc}
		}), "there is no signature"},
		{"too many", tag(func(b *beside) (all []ocispec.Descriptor) {
			for i := range maxSignatures {
				all = append(all, b.simple(t, theirs, fmt.Appendf(nil, "%d", i)))
			}
			return append(all, b.simple(t, ours, simplePayload(manifestDigest)))
		}), "more"},
		{"simple, as a referrer", func(b *beside) {
			b.refer(signatureArtifactType, b.simple(t, ours, simplePayload(manifestDigest)))
		}, ""},
		{"a referrer of another type", func(b *beside) {
			b.refer("application/spdx+json", b.simple(t, ours, simplePayload(manifestDigest)))
		}, "there is no signature"},
		{"a referrer that doesn't refer", func(b *beside) {
			d := b.manifest(other, b.simple(t, ours, simplePayload(manifestDigest)))
			b.referrers = []ocispec.Descriptor{{Digest: d, ArtifactType: signatureArtifactType}}
		}, "it refers to"},
		{"bundle", bundled(sealed(t, ours, inTotoType, inToto(signPredicate, manifestDigest))), ""},
		{"bundle, as cosign calls it in a tag", func(b *beside) {
			b.refer(ocispec.MediaTypeEmptyJSON, b.blob(bundleV03, sealed(t, ours, inTotoType, inToto(signPredicate, manifestDigest)), nil))
		}, ""},
		{"bundle by another key", bundled(sealed(t, theirs, inTotoType, inToto(signPredicate, manifestDigest))), "none of the keys"},
		{"bundle of another digest", bundled(sealed(t, ours, inTotoType, inToto(signPredicate, other))), "it is for"},
		{"attestation", bundled(sealed(t, ours, inTotoType, inToto("https://cosign.sigstore.dev/attestation/vuln/v1", manifestDigest))), "it is an attestation"},
		{"another payload", bundled(sealed(t, ours, "text/plain", inToto(signPredicate, manifestDigest))), "of the type"},
		{"bundle of the manifest", bundled(messageBundle(t, ours, []byte(manifestContent), manifestDigest)), ""},
		{"bundle of another manifest", bundled(messageBundle(t, ours, []byte("other"), other)), "it is for " + other.String()},
		{"bundle that claims the manifest", bundled(messageBundle(t, ours, []byte("other"), manifestDigest)), "none of the keys"},
		{"empty bundle", bundled([]byte(`{}`)), "no signature"},
		{"no bundle", bundled([]byte(`[`)), "no JSON"},
		{"bundle of two", bundled([]byte(`{"messageSignature":{},"dsseEnvelope":{}}`)), "two signatures"},
		{"bundle that is too large", func(b *beside) {
			desc := b.blob(bundleV03, sealed(t, ours, inTotoType, inToto(signPredicate, manifestDigest)), nil)
			desc.Size = maxBundle + 1
			b.refer(bundleV03, desc)
		}, "more than 1048576"},
		{"a good one after a bad tag", func(b *beside) {
			b.tagged = b.manifest("", b.simple(t, theirs, simplePayload(manifestDigest)))
			b.refer(bundleV03, b.blob(bundleV03, sealed(t, ours, inTotoType, inToto(signPredicate, manifestDigest)), nil))
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBeside()
			test.add(b)
			by, err := b.verify(k)
			switch {
			case test.why == "" && (err != nil || by != "key "+k.keys[0].file):
				t.Errorf("by %q, %v", by, err)
			case test.why != "" && (!Denied(err) || !strings.Contains(err.Error(), test.why)):
				t.Errorf("by %q, %v, where it should be denied: %s", by, err, test.why)
			}
			b.down = true
			if _, err := b.verify(k); !errors.Is(err, ErrUndecided) || Denied(err) {
				t.Errorf("with the registry down: %v", err)
			}
		})
	}
}

// TestNoMoreThanNeeded counts what is asked: who finds a signature looks no further.
func TestNoMoreThanNeeded(t *testing.T) {
	ours := ecKey(t, elliptic.P256())
	b := newBeside()
	var all []ocispec.Descriptor
	for range 3 {
		all = append(all, b.simple(t, ours, simplePayload(manifestDigest)))
	}
	b.tagged = b.manifest("", all...)
	b.refer(bundleV03, b.blob(bundleV03, []byte("{}"), nil))
	if _, err := b.verify(load(t, publicFile(t, ours))); err != nil || b.asked != 3 {
		t.Errorf("%d questions, %v, where the tag, its manifest and one payload are enough", b.asked, err)
	}
}

// FuzzSimpleSigning has no payload pass that doesn't hold the digest.
func FuzzSimpleSigning(f *testing.F) {
	f.Add(simplePayload(manifestDigest))
	f.Add([]byte(`{"critical":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if checkSimpleSigning(payload, manifestDigest) == nil && !strings.Contains(unescaped(payload), manifestDigest.Encoded()) {
			t.Errorf("%q passes", payload)
		}
	})
}

// FuzzBundle has no bundle pass that isn't made with the key.
func FuzzBundle(f *testing.F) {
	ours, theirs := ecKey(f, elliptic.P256()), ecKey(f, elliptic.P256())
	k := load(f, publicFile(f, ours))
	f.Add(sealed(f, theirs, inTotoType, inToto(signPredicate, manifestDigest)))
	f.Add(messageBundle(f, theirs, []byte(manifestContent), manifestDigest))
	f.Add([]byte(`{"dsseEnvelope":{"signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if by, err := k.checkBundle(content, manifestDigest, []byte(manifestContent)); err == nil {
			t.Errorf("%q passes, by %q", content, by.file)
		}
	})
}

// FuzzStatement has no statement pass that doesn't hold the digest.
func FuzzStatement(f *testing.F) {
	f.Add(inToto(signPredicate, manifestDigest))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := envelope{Payload: payload, PayloadType: inTotoType}
		if e.check(manifestDigest) == nil && !strings.Contains(unescaped(payload), manifestDigest.Encoded()) {
			t.Errorf("%q passes", payload)
		}
	})
}

// unescaped is JSON without escapes in its strings.
func unescaped(content []byte) string {
	var v any
	_ = json.Unmarshal(content, &v)
	again, _ := json.Marshal(v)
	return string(again) + string(content)
}
