package signed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Verifier tells who vouches for manifests. It is safe for concurrent use.
type Verifier interface {
	// Verify tells who allows a manifest. That nobody does is a [DeniedError], that it
	// can't be told now is ErrUndecided, or the context's error.
	Verify(ctx context.Context, s Subject) (by string, err error)
	// Identity tells verifiers apart that may answer differently: other programs, other
	// keys. It is an error if that can't be told.
	Identity() (string, error)
}

// A Subject is the manifest that is asked about.
type Subject struct {
	// Name is HOST[:PORT]/NAME@DIGEST.
	Name string
	// Descriptor has the media type, the digest and the size.
	Descriptor ocispec.Descriptor
	// Content is the document, which matches the digest.
	Content []byte
	// Attached is what the repository has beside it.
	Attached Attached
}

// Attached is what a repository has beside a manifest. What isn't there, or can't be
// read, is an error that says so, and no reason to give up; what can't be told now is
// ErrUndecided.
type Attached interface {
	// Reachable fails if nobody can be asked now.
	Reachable(ctx context.Context) error
	// Tagged is the digest that a tag of the repository stands for.
	Tagged(ctx context.Context, tag string) (digest.Digest, error)
	// Referrers are the manifests that are said to refer to the subject.
	Referrers(ctx context.Context) ([]ocispec.Descriptor, error)
	// Layers are those of a manifest, with the digest that it refers to, "" if none.
	Layers(ctx context.Context, manifest digest.Digest) (layers []ocispec.Descriptor, subject digest.Digest, err error)
	// Blob is all of a blob of a few MiB at most, verified.
	Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// ErrUndecided is that a question has no answer now.
var ErrUndecided = errors.New("it can't be told now whether it is signed")

// A DeniedError is that nobody vouches for a manifest. It wraps nothing: whatever led
// to it, a timeout too, is a denial.
type DeniedError struct {
	Who string // denies it
	Why string
}

func (e *DeniedError) Error() string { return fmt.Sprintf("denied by %s: %s", e.Who, e.Why) }

// Denied tells whether an error is a denial.
func Denied(err error) bool {
	var d *DeniedError
	return errors.As(err, &d)
}

// All are verifiers of which each has to allow.
type All []Verifier

var _ Verifier = All(nil)

// Verify implements Verifier. The first that denies is told.
func (a All) Verify(ctx context.Context, s Subject) (string, error) {
	var all []string
	for _, v := range a {
		by, err := v.Verify(ctx, s)
		if err != nil {
			return "", err
		}
		all = append(all, by)
	}
	return strings.Join(all, "; "), nil
}

// Identity implements Verifier.
func (a All) Identity() (string, error) {
	var all []string
	for _, v := range a {
		id, err := v.Identity()
		if err != nil {
			return "", err
		}
		all = append(all, id)
	}
	return strings.Join(all, " "), nil
}
