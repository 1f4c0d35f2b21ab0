package resolver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// A part is what stands in a document where a descriptor should: one that can be
// used, or why it can't. What is wrong with one leaves the others as they are.
type part struct {
	desc ocispec.Descriptor // zero where it is odd
	odd  error
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (p *part) UnmarshalJSON(b []byte) error {
	*p = part{}
	if p.odd = json.Unmarshal(b, &p.desc); p.odd == nil {
		p.odd = settle(&p.desc)
	}
	if p.odd != nil {
		p.desc = ocispec.Descriptor{}
	}
	return nil
}

// descriptor is nil where there is none.
func (p *part) descriptor() *ocispec.Descriptor {
	if p == nil || p.odd != nil {
		return nil
	}
	return &p.desc
}

// settle checks a descriptor, and drops its data where that isn't its content.
func settle(desc *ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest); err != nil {
		return err
	}
	if desc.Size < 0 {
		return fmt.Errorf("its size is %d", desc.Size)
	}
	if !embedded(*desc) {
		desc.Data = nil
	}
	return nil
}

// embedded tells whether a descriptor carries its content (image
// specification, "Embedded content").
func embedded(desc ocispec.Descriptor) bool {
	return desc.Data != nil && int64(len(desc.Data)) == desc.Size && verify(desc.Data, desc.Digest) == nil
}

// parts are decoded one by one, so that a small document can't fill memory with
// empty ones.
type parts []part

// UnmarshalJSON implements json.Unmarshaler.
func (ps *parts) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	if token, err := decoder.Token(); err != nil || token == nil {
		return err // null is none
	} else if token != json.Delim('[') {
		return errors.New("descriptors are no array")
	}
	*ps = parts{}
	for decoder.More() {
		if len(*ps) == maxDescriptors {
			return fmt.Errorf("more than %d descriptors: %w", maxDescriptors, errdef.ErrSizeExceedsLimit)
		}
		var p part
		if err := decoder.Decode(&p); err != nil {
			return fmt.Errorf("descriptor %d: %w", len(*ps), err)
		}
		*ps = append(*ps, p)
	}
	return nil
}

// annotations counts those of all of them.
func (ps parts) annotations() int {
	n := 0
	for _, p := range ps {
		n += len(p.desc.Annotations)
	}
	return n
}

// descriptors are all of them, each at its place; what is odd is a zero one.
func (ps parts) descriptors() []ocispec.Descriptor {
	if ps == nil {
		return nil
	}
	list := make([]ocispec.Descriptor, len(ps))
	for i, p := range ps {
		list[i] = p.desc
	}
	return list
}

// good are those that aren't odd.
func (ps parts) good() []ocispec.Descriptor {
	if ps == nil {
		return nil
	}
	list := make([]ocispec.Descriptor, 0, len(ps))
	for _, p := range ps {
		if p.odd == nil {
			list = append(list, p.desc)
		}
	}
	return list
}

// maxOddities is how many of the odd parts of a document are told, each in some
// hundred bytes.
const maxOddities = 8

// oddities say which parts of a document are odd, and why.
type oddities struct {
	first []error
	count int
}

// note takes a part that may be odd.
func (o *oddities) note(name string, p part) {
	if p.odd == nil {
		return
	}
	if o.count++; len(o.first) < maxOddities {
		o.first = append(o.first, fmt.Errorf("%s: %w", name, p.odd))
	}
}

// noteAll takes those of a list.
func (o *oddities) noteAll(name string, ps parts) {
	for i, p := range ps {
		if p.odd != nil {
			o.note(fmt.Sprintf("%s %d", name, i), p)
		}
	}
}

// err is nil where none is odd.
func (o *oddities) err() error {
	if o.count == 0 {
		return nil
	}
	text := make([]string, len(o.first))
	for i, err := range o.first {
		text[i] = err.Error()
	}
	if more := o.count - len(o.first); more > 0 {
		text = append(text, fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(text, "; "))
}
