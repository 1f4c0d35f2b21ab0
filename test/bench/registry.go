//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	seeded "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// repository is where everything lies but the image.
const repository = "bench"

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: "localhost:%d"%s}
`

// startRegistry starts a registry and waits until it answers. All of them show
// the same storage. tls is empty or the part of the configuration that has it.
func (w *workplace) startRegistry(ctx context.Context, tls string) (host string, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return "", err
	}
	config := filepath.Join(w.dir, fmt.Sprintf("registry-%d.yml", port))
	if err := os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(w.dir, "registry"), port, tls), 0o600); err != nil {
		return "", err
	}
	if err := w.start(w.tool("registry"), "serve", config); err != nil {
		return "", err
	}
	host = fmt.Sprintf("localhost:%d", port)
	return host, until(ctx, func(ctx context.Context) error {
		return w.run(ctx, "curl", "-s", "-k", "-o", "/dev/null", scheme(tls != "")+host+"/v2/")
	})
}

func scheme(tls bool) string {
	if tls {
		return "https://"
	}
	return "http://"
}

// startTLSRegistry starts one that speaks TLS, and HTTP/2 with it.
func (w *workplace) startTLSRegistry(ctx context.Context) (host string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	file := filepath.Join(w.dir, "tls.pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		return "", err
	}
	return w.startRegistry(ctx, fmt.Sprintf(", tls: {certificate: %q, key: %q}", file, file))
}

// A blob is one of the registry's.
type blob struct {
	name string // what it was made from
	ocispec.Descriptor
}

// content gives a blob's bytes: random ones, the same for the same name.
func content(name string, size int64) io.Reader {
	var seed [32]byte
	copy(seed[:], name)
	return io.LimitReader(seeded.NewChaCha8(seed), size)
}

// blob gives a blob of random bytes, which is pushed the first time.
func (w *workplace) blob(ctx context.Context, name string, size int64) (blob, error) {
	if b, ok := w.blobs[name]; ok && b.Size == size {
		return b, nil
	}
	d, err := digest.FromReader(content(name, size))
	if err != nil {
		return blob{}, err
	}
	b := blob{name, ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}}
	w.blobs[name] = b
	return b, w.push(ctx, b.Descriptor, content(name, size))
}

// push uploads a blob in one piece.
func (w *workplace) push(ctx context.Context, d ocispec.Descriptor, content io.Reader) error {
	location, err := w.send(ctx, http.MethodPost, fmt.Sprintf("http://%s/v2/%s/blobs/uploads/", w.registry, repository), "", nil, 0)
	if err != nil {
		return err
	}
	_, err = w.send(ctx, http.MethodPut, location+"&digest="+d.Digest.String(), d.MediaType, content, d.Size)
	return err
}

// pushJSON uploads a document as a blob.
func (w *workplace) pushJSON(ctx context.Context, mediaType string, document any) (ocispec.Descriptor, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return d, w.push(ctx, d, bytes.NewReader(data))
}

// tag uploads a manifest under a tag.
func (w *workplace) tag(ctx context.Context, tag string, m ocispec.Manifest) error {
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/v2/%s/manifests/%s", w.registry, repository, tag)
	_, err = w.send(ctx, http.MethodPut, url, m.MediaType, bytes.NewReader(data), int64(len(data)))
	return err
}

// send sends a request that makes something, and gives where that is.
func (w *workplace) send(ctx context.Context, method, url, mediaType string, body io.Reader, size int64) (location string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return "", fmt.Errorf("%s %s: %s: %s", method, url, response.Status, said)
	}
	return response.Header.Get("Location"), nil
}

// blobURL is where a host has a blob.
func blobURL(host string, b blob) string {
	return fmt.Sprintf("http://%s/v2/%s/blobs/%s", host, repository, b.Digest)
}
