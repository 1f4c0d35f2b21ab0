package main

import (
	"errors"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A platform is a flag's value as ORAS and Docker have it: OS/ARCH[/VARIANT].
type platform struct{ ocispec.Platform }

// String implements pflag.Value.
func (p *platform) String() string {
	if p.OS == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Set implements pflag.Value.
func (p *platform) Set(s string) error {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return errors.New("not a platform: OS/ARCH or OS/ARCH/VARIANT")
	}
	p.Platform = ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return nil
}

// Type implements pflag.Value.
func (p *platform) Type() string { return "platform" }
