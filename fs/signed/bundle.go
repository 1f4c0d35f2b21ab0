package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
)

// Bounds of what is in a bundle: cosign writes one signature of one manifest.
const (
	maxBundleSignatures = 16
	maxBundleSubjects   = 64
)

const (
	inTotoType = "application/vnd.in-toto+json"
	// signPredicate is of the statement that is a signature and no more (cosign 3). Every
	// other one is an attestation.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

var statementTypes = []string{"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}

// A bundle is Sigstore's (sigstore/protobuf-specs, sigstore_bundle.proto), as far as it
// matters to who has the key. It signs the manifest itself, or a statement about it.
type bundle struct {
	MessageSignature *struct {
		MessageDigest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
	Envelope *envelope `json:"dsseEnvelope"`
}

// An envelope is a signed message that says of what type it is (DSSE).
type envelope struct {
	Payload     []byte `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []struct {
		Sig []byte `json:"sig"`
	} `json:"signatures"`
}

// A statement says something of subjects (in-toto).
type statement struct {
	Type          string `json:"_type"`
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// errNoMaker is that none of the keys has made a signature.
var errNoMaker = errors.New("none of the keys has made it")

// checkBundle is the key that has signed a manifest, with that content, in a bundle.
func (k *Keys) checkBundle(content []byte, d digest.Digest, manifest []byte) (key, error) {
	var b bundle
	if err := json.Unmarshal(content, &b); err != nil {
		return key{}, fmt.Errorf("the bundle is no JSON: %w", err)
	}
	switch {
	case b.MessageSignature != nil && b.Envelope != nil:
		return key{}, errors.New("the bundle holds two signatures")
	case b.Envelope != nil:
		return k.checkEnvelope(b.Envelope, d)
	case b.MessageSignature == nil:
		return key{}, errors.New("the bundle holds no signature")
	}
	if said := b.MessageSignature.MessageDigest; len(said.Digest) > 0 && said.Algorithm == "SHA2_256" &&
		d.Algorithm() == digest.SHA256 && digest.NewDigestFromBytes(digest.SHA256, said.Digest) != d {
		return key{}, fmt.Errorf("it is for %s", digest.NewDigestFromBytes(digest.SHA256, said.Digest))
	}
	if by, ok := k.maker(b.MessageSignature.Signature, manifest); ok {
		return by, nil
	}
	return key{}, errNoMaker
}

// checkEnvelope is the key that has signed a statement that it signs the manifest.
func (k *Keys) checkEnvelope(e *envelope, d digest.Digest) (key, error) {
	if len(e.Signatures) > maxBundleSignatures {
		return key{}, fmt.Errorf("the envelope has %d signatures, at most %d are looked at", len(e.Signatures), maxBundleSignatures)
	}
	message := e.encoded()
	for _, s := range e.Signatures {
		if by, ok := k.maker(s.Sig, message); ok {
			return by, e.check(d)
		}
	}
	return key{}, errNoMaker
}

// encoded is what is signed of an envelope (DSSE, PAE).
func (e *envelope) encoded() []byte {
	var b bytes.Buffer
	b.WriteString("DSSEv1 " + strconv.Itoa(len(e.PayloadType)) + " " + e.PayloadType + " " + strconv.Itoa(len(e.Payload)) + " ")
	b.Write(e.Payload)
	return b.Bytes()
}

// check fails unless the envelope's statement is a signature of the digest.
func (e *envelope) check(d digest.Digest) error {
	if e.PayloadType != inTotoType {
		return fmt.Errorf("its payload is of the type %q", e.PayloadType)
	}
	var s statement
	if err := json.Unmarshal(e.Payload, &s); err != nil {
		return fmt.Errorf("its statement is no JSON: %w", err)
	}
	switch {
	case !slices.Contains(statementTypes, s.Type):
		return fmt.Errorf("its statement is of the type %q", s.Type)
	case s.PredicateType != signPredicate:
		return fmt.Errorf("it is an attestation (%q) and no signature", s.PredicateType)
	case len(s.Subject) == 0 || len(s.Subject) > maxBundleSubjects:
		return fmt.Errorf("its statement has %d subjects, 1 to %d are looked at", len(s.Subject), maxBundleSubjects)
	}
	for _, subject := range s.Subject {
		if subject.Digest[d.Algorithm().String()] == d.Encoded() {
			return nil
		}
	}
	return fmt.Errorf("it is for %v", s.Subject[0].Digest)
}
