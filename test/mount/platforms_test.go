package mount

import (
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestPlatforms looks at an index of three platforms, made by BuildKit: its own
// directory shows what the host's platform has, or the one that is asked for.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"multi:latest", "docker-schema2:list"} {
		fixture, _, _ := strings.Cut(tag, ":")
		t.Run(tag, func(t *testing.T) {
			f := serveFake(t)
			f.addFixture(t, fixture)
			m := mountRegistry(t, f.host, "--platform", "linux/arm/v7")
			platforms := m.ls(t, tag, "platforms")
			names := slices.DeleteFunc(slices.Clone(platforms), func(name string) bool { return strings.HasPrefix(name, "unknown-unknown-") })
			if want := []string{"linux-amd64", "linux-arm-v7", "linux-arm64"}; !slices.Equal(names, want) {
				t.Errorf("the platforms are %q, want %q and attestations", platforms, want)
			}
			if attestations := len(platforms) - len(names); fixture == "multi" && attestations != 3 {
				t.Errorf("%d attestations are listed: %q", attestations, platforms)
			}
			if got, want := m.ls(t, tag+"/"), []string{"config.json", "files", "layers", "layout", "layout.tar", "manifest.json", "platforms", "referrers", "rootfs"}; !slices.Equal(got, want) {
				t.Errorf("the index lists %q, want %q", got, want)
			}
			for _, name := range []string{"config.json", "files", "layers", "rootfs"} {
				link := strings.TrimSuffix(output(t, "readlink", m.path(tag, name)), "\n")
				if want := "platforms/linux-arm-v7/" + name; link != want {
					t.Errorf("%s leads to %s, want %s", name, link, want)
				}
			}
			if config := m.cat(t, tag, "config.json"); !strings.Contains(config, `"arm"`) || !strings.Contains(config, `"v7"`) {
				t.Errorf("the config is %s", config)
			}
			m.ls(t, tag, "rootfs/etc")
			for _, name := range platforms {
				link := strings.TrimSuffix(output(t, "readlink", m.path(tag, "platforms", name)), "\n")
				if path.Dir(link) != "../.." || len(path.Base(link)) != 64 {
					t.Errorf("%s leads to %s", name, link)
				}
				m.ls(t, tag, "platforms", name+"/")
			}
			// Without -L it ends, and leads nowhere twice.
			output(t, "find", m.path(tag)+"/")
		})
	}
}

// TestHostPlatform shows the host's platform where none is asked for, and of an
// image with a SOCI index beside it the image.
func TestHostPlatform(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the image is for amd64")
	}
	f := serveFake(t)
	f.addFixture(t, "base-soci-v2")
	m := mountRegistry(t, f.host)
	if got := strings.TrimSuffix(output(t, "readlink", m.path("base-soci-v2:latest/rootfs")), "\n"); got != "platforms/linux-amd64/rootfs" {
		t.Errorf("rootfs leads to %s", got)
	}
	if got := m.cat(t, "base-soci-v2:latest/rootfs/etc/passwd"); !strings.HasPrefix(got, "root:") {
		t.Errorf("etc/passwd holds %q", got)
	}
}

// TestNoPlatform mounts for a platform that an index doesn't have.
func TestNoPlatform(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFixture(t, "multi")
	m := mountRegistry(t, f.host, "--platform", "windows/amd64")
	if got, want := m.ls(t, "multi:latest/"), []string{"layout", "layout.tar", "manifest.json", "platforms", "referrers"}; !slices.Equal(got, want) {
		t.Errorf("the index lists %q, want %q", got, want)
	}
	fails(t, "No such file", "ls", m.path("multi:latest/rootfs"))
	m2 := prepare(t, f.host, "--platform", "nonsense")
	m2.refused(t, m2.command(), 2, "OS/ARCH")
}
