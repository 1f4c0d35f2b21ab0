package mount

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A signer signs manifests as cosign does.
type signer struct {
	key  *ecdsa.PrivateKey
	file string // its public key
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	key := newKey(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, writePEM(t, "PUBLIC KEY", der)}
}

// signature is one of a message, in base64.
func (s *signer) signature(t testing.TB, message []byte) string {
	t.Helper()
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// signatureTag is where cosign 2 keeps signatures.
func signatureTag(d digest.Digest) string { return "sha256-" + d.Encoded() + ".sig" }

// payload is what cosign 2 signs.
func payload(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"}}`, d)
}

// sign signs what the payload says, as cosign 2 does, beside the manifest d.
func (s *signer) sign(t testing.TB, f *fake, repo string, d digest.Digest, payload []byte) {
	t.Helper()
	layer := f.addLayer(repo, "application/vnd.dev.cosign.simplesigning.v1+json", payload, "dev.cosignproject.cosign/signature", s.signature(t, payload))
	f.AddArtifact(repo, signatureTag(d), "", nil, layer)
}

// attach signs a manifest as cosign 3 does.
func (s *signer) attach(t testing.TB, f *fake, repo string, subject ocispec.Descriptor) {
	t.Helper()
	const kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1"}`, subject.Digest.Encoded())
	signature := s.signature(t, fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(statement), statement))
	layer := f.AddBlob(repo, fmt.Appendf(nil, `{"mediaType":%q,"dsseEnvelope":{"payload":%q,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":%q}]}}`,
		kind, base64.StdEncoding.EncodeToString(statement), signature))
	layer.MediaType = kind
	f.refer(t, repo, subject, kind, layer)
}

// refer adds an artifact that refers to a manifest.
func (f *fake) refer(t testing.TB, repo string, subject ocispec.Descriptor, artifactType string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	f.AddBlob(repo, []byte("{}"))
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON,
		Layers: layers, Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}
	manifest.SchemaVersion = 2
	desc := f.AddManifest(repo, "", ocispec.MediaTypeImageManifest, asJSON(t, manifest))
	desc.ArtifactType = artifactType
	f.AddReferrer(repo, subject.Digest, desc)
	return desc
}

// addText adds an artifact of one text file.
func (f *fake) addText(repo, tag, text string) ocispec.Descriptor {
	return f.AddArtifact(repo, tag, "application/vnd.example.text", nil, titled(f.AddBlob(repo, []byte(text)), "text.txt"))
}

// verifierDir makes a directory of one verifier, a shell script that is told the digest as
// $digest, and a file for what it may count.
func verifierDir(t testing.TB, script string) (dir, counted string) {
	t.Helper()
	dir, counted = t.TempDir(), filepath.Join(t.TempDir(), "counted")
	script = "#!/bin/sh\nname=$2 digest=$4 counted=" + counted + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "check"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return dir, counted
}

// linesOf are the lines of a file, none if there is none.
func linesOf(t testing.TB, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(content))
}
