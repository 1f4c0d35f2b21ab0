//go:build linux

package csi

import (
	"strings"
	"testing"
)

// A pod's fsGroup is the group of its files; another pod's is another's. Who gives a gid
// himself has that.
func TestGroup(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	a.group = "2000"
	b, c := n.pod("b", a.attributes), n.pod("c", a.attributes)
	b.group = "3000"
	c.group, c.attributes["mountOptions"] = "3000", "gid=4000,uid=5"
	for p, want := range map[*pod]string{a: "2000 0", b: "3000 0", c: "4000 5"} {
		p.mustPublish()
		for _, file := range []string{"weights", "."} {
			if got, err := p.run("stat", "--format=%g %u", file); err != nil || got != want+"\n" {
				t.Errorf("%s of %s has group and owner %q, %v; want %s", file, p.id, got, err, want)
			}
		}
		p.mustPublish()
	}
	a.mustHold("weights", "one")
}

// With follow the volume shows what its tag means now, at one path.
func TestFollow(t *testing.T) {
	t.Parallel()
	fake, n, a := one(t)
	a.attributes["follow"], a.attributes["mountOptions"] = "true", "tag-ttl=1s"
	a.mustPublish()
	a.mustHold("weights", "one")
	before, err := a.run("readlink", "..data")
	if err != nil {
		t.Fatal(err)
	}
	second := push(fake, "org/model", "v2", "weights", "two")
	fake.Tag("org/model", second.Digest, "v1")
	n.awaits("the volume shows what the tag means now", func() bool {
		now, err := a.run("cat", "..data/weights")
		return err == nil && now == "two"
	})
	a.mustHold("weights", "two")
	if now, err := a.run("readlink", "..data"); err != nil || now == before || strings.TrimSpace(now) == "" {
		t.Errorf("..data leads to %q, then to %q, %v", before, now, err)
	}
	a.mustPublish()
	a.mustHold("weights", "two")
	a.mustBeWell()
}

// What a mount is like can be said of a volume.
func TestMountOptions(t *testing.T) {
	t.Parallel()
	_, n, a := one(t)
	a.attributes["mountOptions"] = "noexec,default_permissions"
	a.mustPublish()
	for _, m := range n.mounts() {
		if m.Mountpoint != a.target {
			continue
		}
		for _, option := range []string{"ro", "nosuid", "nodev", "noexec"} {
			if !strings.Contains(","+m.Options+",", ","+option+",") {
				t.Errorf("the volume is mounted with %s, without %s", m.Options, option)
			}
		}
		if !strings.Contains(m.VFSOptions, "default_permissions") {
			t.Errorf("the volume is mounted with %s", m.VFSOptions)
		}
	}
}
