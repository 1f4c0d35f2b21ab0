package resolver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"
)

func TestParseLayoutTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"app", "app:v2", "a@b", "d", "d/e:v1", "x@" + sha256Digest} {
		if err := os.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for target, want := range map[string][2]string{
		"app":                       {"app", ""},
		"./app":                     {"./app", ""},
		"app:v1":                    {"app", "v1"},
		"app:v2":                    {"app:v2", ""}, // it exists
		"app:v2:v1":                 {"app:v2", "v1"},
		"app@" + sha256Digest:       {"app", sha256Digest},
		"app:v1@" + sha512Digest:    {"app", sha512Digest},
		"app:v2@" + sha256Digest:    {"app:v2", sha256Digest},
		"a@b":                       {"a@b", ""},
		"a@b:v1":                    {"a@b", "v1"},
		"a@b@" + sha256Digest:       {"a@b", sha256Digest},
		"d/e:v1":                    {"d/e:v1", ""},
		"d/e:v1:v1":                 {"d/e:v1", "v1"},
		"x@" + sha256Digest:         {"x@" + sha256Digest, ""},
		"x@" + sha256Digest + ":v1": {"x@" + sha256Digest, "v1"},
		filepath.Join("app", "..", "app") + ":v1": {"app", "v1"},
	} {
		path, reference, err := ParseLayoutTarget(target)
		if err != nil || path != want[0] || reference != want[1] {
			t.Errorf("%s: %q, %q, %v; want %q", target, path, reference, err, want)
		}
	}
}

func TestParseLayoutTargetThatIsNone(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("app", 0o755); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]struct {
		is   error
		says string
	}{
		"":                        {errdef.ErrInvalidReference, "empty"},
		"none":                    {fs.ErrNotExist, "none"},
		"none:v1":                 {fs.ErrNotExist, "stat none:"},
		"none@" + sha256Digest:    {fs.ErrNotExist, "stat none:"},
		"none:v1@" + sha256Digest: {fs.ErrNotExist, "stat none:"},
		"app/none":                {fs.ErrNotExist, "app/none"},
		"app:v1/x":                {fs.ErrNotExist, "app:v1/x"},
		"app:":                    {errdef.ErrInvalidReference, "tag"},
		"app:-v1":                 {errdef.ErrInvalidReference, "-v1"},
		"app@":                    {errdef.ErrInvalidReference, "digest"},
		"app@v1":                  {errdef.ErrInvalidReference, "v1"},
		"app@sha256:abc":          {errdef.ErrInvalidReference, "sha256:abc"},
		"app:v1@sha256:abc":       {errdef.ErrInvalidReference, "sha256:abc"},
		":v1":                     {fs.ErrNotExist, ":v1"},
		"@" + sha256Digest:        {fs.ErrNotExist, "@sha256"},
		"app@" + sha256Digest + "@" + sha256Digest: {fs.ErrNotExist, "app@"},
	} {
		path, reference, err := ParseLayoutTarget(target)
		if !errors.Is(err, want.is) || !strings.Contains(err.Error(), want.says) || path+reference != "" {
			t.Errorf("%q: %q, %q, %v; want %v that says %q", target, path, reference, err, want.is, want.says)
		}
	}
}
