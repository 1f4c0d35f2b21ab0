package resolver

import (
	"errors"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"
)

const (
	sha256Digest = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
	sha512Digest = "sha512:" + "309ecc489c12d6eb4cc40f50c902f2b4d0ed77ee511a7c7a9bcd3ca86d4cd86f989dd35bc5ff499670da34255b45b0cfd830e81f605dcf7dc5542e93ae9cd76f"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		target string
		want   Target
	}{
		{"ghcr.io", Target{"ghcr.io", "", ""}},
		{"GHCR.io", Target{"ghcr.io", "", ""}},
		{"localhost", Target{"localhost", "", ""}},
		{"localhost:5000", Target{"localhost:5000", "", ""}},
		{"registry:5000/app", Target{"registry:5000", "app", ""}},
		{"ghcr.io/org/app", Target{"ghcr.io", "org/app", ""}},
		{"ghcr.io/org/app:v1", Target{"ghcr.io", "org/app", "v1"}},
		{"ghcr.io/org/app@" + sha256Digest, Target{"ghcr.io", "org/app", sha256Digest}},
		{"ghcr.io/org/app@" + sha512Digest, Target{"ghcr.io", "org/app", sha512Digest}},
		{"ghcr.io/org/app:v1@" + sha256Digest, Target{"ghcr.io", "org/app", sha256Digest}},
		{"my_registry:5000/app", Target{"my_registry:5000", "app", ""}},
		{"_a.b_c.example", Target{"_a.b_c.example", "", ""}},
		{"[::1]", Target{"[::1]", "", ""}},
		{"[2001:db8::1]:5000/app:v1", Target{"[2001:db8::1]:5000", "app", "v1"}},
		{"127.0.0.1:5000/a__b/c-d.e", Target{"127.0.0.1:5000", "a__b/c-d.e", ""}},
	}
	for _, test := range tests {
		got, err := ParseTarget(test.target)
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.target, got, err, test.want)
		}
	}
}

func TestParseTargetThatIsNone(t *testing.T) {
	targets := []string{
		"", "/", "ghcr.io/", "ghcr.io//app", "/app", "ubuntu", "org/app", "ghcr.io/App", "ghcr.io/app/",
		"https://ghcr.io/app", "ghcr.io:0", "ghcr.io:65536", "ghcr.io:", "ghcr.io:http", "ghcr.io:5000:1", "ghcr.io/app:",
		"ghcr.io/app:-v1", "ghcr.io/app@", "ghcr.io/app@sha256:abc", "ghcr.io/app@v1", "ghcr.io/app:v1@", "ghcr.io/app:" + strings.Repeat("a", 129),
		"ghcr.io/app@md5:d41d8cd98f00b204e9800998ecf8427e", "user@ghcr.io/app", "ghcr.io:v1", "ghcr.io@" + sha256Digest,
		"[::1", "[127.0.0.1]:5000", "[::1]x", "[::1]5000", "[fe80::1%eth0]", "-a.b", "a..b", "a b.c", "ghcr.io?x", "ghcr.io/app#x",
		"ghcr.io/app@sha384:" + strings.Repeat("a", 96),
	}
	for _, target := range targets {
		got, err := ParseTarget(target)
		if !errors.Is(err, errdef.ErrInvalidReference) || got != (Target{}) {
			t.Errorf("%q: %+v, %v", target, got, err)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error of more than a line: %v", target, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"ghcr.io/org/app:v1", "[::1]:5000/a@" + sha256Digest, "localhost:5000", "a.b/c:d@e", "https://x/y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			return
		}
		// What is accepted makes a client, and reads the same when written again.
		r, err := NewRegistry(target.Host, Options{Username: "x"})
		if err != nil {
			t.Fatalf("%q: host %q: %v", s, target.Host, err)
		}
		written := target.Host
		if target.Name != "" {
			if _, err := r.Repository(target.Name); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			written += "/" + target.Name
		}
		if target.Reference != "" {
			separator := ":"
			if !ValidTag(target.Reference) {
				separator = "@"
			}
			written += separator + target.Reference
		}
		if again, err := ParseTarget(written); err != nil || again != target {
			t.Fatalf("%q is %+v, and %q is %+v, %v", s, target, written, again, err)
		}
	})
}

func TestValidComponent(t *testing.T) {
	for _, name := range []string{"a", "a1", "a-b", "a--b", "a.b", "a_b", "a__b", strings.Repeat("a", 255)} {
		if !ValidComponent(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "A", ".git", "_tags", "a/b", "a..b", "a___b", "a-", "-a", "a:b", "ä", "a\n", strings.Repeat("a", 256)} {
		if ValidComponent(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestValidTag(t *testing.T) {
	for _, tag := range []string{"v1", "V1", "_x", "1.27", "a-b", strings.Repeat("a", 128)} {
		if !ValidTag(tag) {
			t.Errorf("%q is refused", tag)
		}
	}
	for _, tag := range []string{"", ".", "..", "-a", "a/b", "a:b", "a b", "a\n", "ä", strings.Repeat("a", 129)} {
		if ValidTag(tag) {
			t.Errorf("%q is accepted", tag)
		}
	}
}
