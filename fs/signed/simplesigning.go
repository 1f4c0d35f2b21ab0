package signed

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// simpleSigningType is the type in the payload of a signature (containers-signature(5)
// has the format, cosign the type).
const simpleSigningType = "cosign container image signature"

// A simpleSigning is the payload of a signature of cosign 2: what is signed.
type simpleSigning struct {
	Critical struct {
		Image struct {
			Digest digest.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
}

// checkSimpleSigning fails unless a payload says that it signs the manifest of that
// digest.
func checkSimpleSigning(payload []byte, d digest.Digest) error {
	var p simpleSigning
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("its payload is no JSON: %w", err)
	}
	switch {
	case p.Critical.Type != simpleSigningType:
		return fmt.Errorf("its payload is of the type %q", p.Critical.Type)
	case p.Critical.Image.Digest == "":
		return errors.New("its payload has no digest")
	case p.Critical.Image.Digest != d:
		return fmt.Errorf("it is for %s", p.Critical.Image.Digest)
	}
	return nil
}
