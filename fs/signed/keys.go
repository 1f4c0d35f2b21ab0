package signed

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	maxKeyFile = 64 << 10 // bytes
	minRSA     = 2048     // bits
)

// Keys are public keys, of which one has to have made a signature.
type Keys struct{ keys []key }

var _ Verifier = (*Keys)(nil)

// A key is a public key, and the file that it is from.
type key struct {
	file   string
	public crypto.PublicKey
	der    []byte
}

// LoadKeys reads public keys from files (PEM). One that holds none, or anything else,
// is an error.
func LoadKeys(files ...string) (*Keys, error) {
	k := &Keys{}
	for _, file := range files {
		content, err := readKey(file)
		if err != nil {
			return nil, err
		}
		keys, err := parseKeys(file, content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		k.keys = append(k.keys, keys...)
	}
	return k, nil
}

func readKey(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err == nil {
		err = ownersAlone(file, info)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", file)
	}
	if err == nil && info.Size() > maxKeyFile {
		err = fmt.Errorf("%s: more than %d bytes are no public key", file, maxKeyFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file) //nolint:gosec // the user's choice
}

func parseKeys(file string, content []byte) (keys []key, err error) {
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		k := key{file: file}
		switch {
		case block.Type == "PUBLIC KEY":
			k.public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case block.Type == "RSA PUBLIC KEY":
			k.public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case strings.Contains(block.Type, "PRIVATE KEY"):
			err = errors.New("it is a private key: give the public one")
		default:
			err = fmt.Errorf("a %s is no public key", block.Type)
		}
		if err == nil {
			err = k.check()
		}
		if err == nil {
			k.der, err = x509.MarshalPKIXPublicKey(k.public)
		}
		if err != nil {
			return nil, err
		}
		keys, content = append(keys, k), rest
	}
	if len(keys) == 0 || len(bytes.TrimSpace(content)) > 0 {
		return nil, errors.New("it isn't a public key in PEM")
	}
	return keys, nil
}

// check refuses keys of other kinds than there are signatures for.
func (k key) check() error {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(hashesOf(public)) == 0 {
			return fmt.Errorf("a key on the curve %s isn't supported: P-256, P-384 and P-521 are", public.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA {
			return fmt.Errorf("an RSA key of %d bits is too short: %d are the least", bits, minRSA)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of the kind %T isn't supported: ECDSA, Ed25519 and RSA are", k.public)
	}
	return nil
}

// hashesOf are those that signatures of a key on a curve are made with: cosign 2 knows
// SHA-256 alone, later ones the hash that is as strong as the curve.
func hashesOf(public *ecdsa.PublicKey) []crypto.Hash {
	switch public.Curve {
	case elliptic.P256():
		return []crypto.Hash{crypto.SHA256}
	case elliptic.P384():
		return []crypto.Hash{crypto.SHA384, crypto.SHA256}
	case elliptic.P521():
		return []crypto.Hash{crypto.SHA512, crypto.SHA256}
	}
	return nil
}

func sum(h crypto.Hash, message []byte) []byte {
	hash := h.New()
	hash.Write(message)
	return hash.Sum(nil)
}

// made tells whether the key has made that signature of a message.
func (k key) made(signature, message []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return slices.ContainsFunc(hashesOf(public), func(h crypto.Hash) bool {
			return ecdsa.VerifyASN1(public, sum(h, message), signature)
		})
	case ed25519.PublicKey:
		ph := &ed25519.Options{Hash: crypto.SHA512}
		return ed25519.Verify(public, message, signature) ||
			ed25519.VerifyWithOptions(public, sum(crypto.SHA512, message), signature, ph) == nil
	case *rsa.PublicKey:
		hashed := sum(crypto.SHA256, message)
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, hashed, signature) == nil ||
			rsa.VerifyPSS(public, crypto.SHA256, hashed, signature, nil) == nil
	}
	return false
}

// maker is the key that has made a signature of a message.
func (k *Keys) maker(signature, message []byte) (key, bool) {
	i := slices.IndexFunc(k.keys, func(k key) bool { return k.made(signature, message) })
	if i < 0 {
		return key{}, false
	}
	return k.keys[i], true
}

// Identity implements Verifier.
func (k *Keys) Identity() (string, error) {
	var all [][]byte
	for _, one := range k.keys {
		all = append(all, one.der)
	}
	slices.SortFunc(all, bytes.Compare)
	h := sha256.New()
	for _, der := range slices.CompactFunc(all, bytes.Equal) {
		_, _ = fmt.Fprintf(h, "%d %x\n", len(der), der) // a hash never fails
	}
	return fmt.Sprintf("keys-%x", h.Sum(nil)), nil
}
