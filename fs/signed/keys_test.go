package signed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writePEM writes a file of one block.
func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// publicFile writes the public key of a signer.
func publicFile(t testing.TB, s crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "PUBLIC KEY", der)
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func load(t testing.TB, files ...string) *Keys {
	t.Helper()
	k, err := LoadKeys(files...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestMade signs with every kind of key, as cosign does.
func TestMade(t *testing.T) {
	message := []byte("what is signed")
	rsaSigner := rsaKey(t, 2048)
	for _, test := range []struct {
		name    string
		signer  crypto.Signer
		options crypto.SignerOpts
	}{
		{"P-256", ecKey(t, elliptic.P256()), crypto.SHA256},
		{"P-384", ecKey(t, elliptic.P384()), crypto.SHA384},
		{"P-384, SHA-256", ecKey(t, elliptic.P384()), crypto.SHA256},
		{"P-521", ecKey(t, elliptic.P521()), crypto.SHA512},
		{"Ed25519", edKey(t), crypto.Hash(0)},
		{"Ed25519ph", edKey(t), &ed25519.Options{Hash: crypto.SHA512}},
		{"RSA, PKCS 1", rsaSigner, crypto.SHA256},
		{"RSA, PSS", rsaSigner, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA256}},
	} {
		t.Run(test.name, func(t *testing.T) {
			signature := signWith(t, test.signer, test.options, message)
			k := load(t, publicFile(t, ecKey(t, elliptic.P256())), publicFile(t, test.signer))
			if by, ok := k.maker(signature, message); !ok || by.file != k.keys[1].file {
				t.Errorf("the signature is by %q, %v", by.file, ok)
			}
			if _, ok := k.maker(signature, []byte("something else")); ok {
				t.Error("it is one of something else")
			}
			signature[len(signature)/2] ^= 1
			if _, ok := k.maker(signature, message); ok {
				t.Error("a signature that was changed is one")
			}
			if _, ok := k.maker(nil, message); ok {
				t.Error("none is one")
			}
			if _, ok := load(t, publicFile(t, edKey(t))).maker(signature, message); ok {
				t.Error("another key has made it")
			}
		})
	}
}

func signWith(t testing.TB, s crypto.Signer, o crypto.SignerOpts, message []byte) []byte {
	t.Helper()
	hashed := message
	if h := o.HashFunc(); h != 0 {
		hashed = sum(h, message)
	}
	signature, err := s.Sign(rand.Reader, hashed, o)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// TestWrongKeys has files that hold no public key.
func TestWrongKeys(t *testing.T) {
	private, err := x509.MarshalPKCS8PrivateKey(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	open := publicFile(t, edKey(t))
	if err := os.Chmod(open, 0o666); err != nil { //nolint:gosec // that is what is wrong
		t.Fatal(err)
	}
	for file, why := range map[string]string{
		open:                                "written by anybody",
		t.TempDir():                         "is no file",
		writePEM(t, "PRIVATE KEY", private): "private key",
		writePEM(t, "CERTIFICATE", nil):     "no public key",
		writePEM(t, "PUBLIC KEY", []byte("junk")): "asn1",
		text:                                     "isn't a public key in PEM",
		large:                                    "no public key",
		filepath.Join(t.TempDir(), "none"):       "no such file",
		publicFile(t, ecKey(t, elliptic.P224())): "P-224",
		publicFile(t, shortRSA(t)):               "too short",
	} {
		if _, err := LoadKeys(file); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, where %q is wrong", err, why)
		}
	}
}

// shortRSA is a key that Go itself no longer makes.
func shortRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	return rsaKey(t, 1024)
}

// TestKeysIdentity is the same for the same keys, in whatever order and files.
func TestKeysIdentity(t *testing.T) {
	a, b := publicFile(t, edKey(t)), publicFile(t, edKey(t))
	identity := func(files ...string) string {
		id, err := load(t, files...).Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if identity(a, b) != identity(b, a, b) {
		t.Error("it goes by the order")
	}
	if identity(a) == identity(b) || identity(a) == identity(a, b) {
		t.Error("other keys have the same")
	}
}
