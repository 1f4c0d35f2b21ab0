package mount

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSameTree holds the comparison itself against a tree that is right, and
// against copies with one thing wrong each.
func TestSameTree(t *testing.T) {
	t.Parallel()
	needRoot(t) // makes devices and files of others
	right := umociUnpack(t, unpackLayout(t, "base-gzip"), "latest")
	sameBase(t, right)

	for name, c := range map[string]struct{ change, path, what string }{
		"extra file":          {"touch new", "new", "extra"},
		"extra file, bytes":   {`touch "$(printf 'names/bad-\376-byte')"`, "names/bad-\ufffd-byte", "extra"},
		"missing file":        {"rm etc/passwd", "etc/passwd", "missing"},
		"missing file, bytes": {`rm "$(printf 'names/latin1-\351')"`, "names/latin1-\ufffd", "missing"},
		"type":                {"rm -r empty/empty-dir && touch empty/empty-dir", "empty/empty-dir", "type"},
		"mode":                {"chmod 0644 modes/none", "modes/none", "mode"},
		"setuid":              {"chmod 0755 modes/setuid", "modes/setuid", "mode"},
		"owner":               {"chown 0 owners/alice", "owners/alice", "uid"},
		"group":               {"chgrp 0 owners/big-ids", "owners/big-ids", "gid"},
		"size":                {"echo x >>data/lorem.txt", "data/lorem.txt", "size"},
		"content":             {"printf x | dd of=data/random-1m.bin bs=1 seek=524288 conv=notrunc status=none", "data/random-1m.bin", "sha256digest"},
		"link target":         {"ln -sfn ../data links/rel", "links/rel", "link"},
		"owner of a link":     {"chown -h 0 links/owned", "links/owned", "uid"},
		"link count":          {"ln etc/passwd etc/again", "etc/passwd", "nlink"},
		"time":                {"touch -d @1234567890 etc/passwd", "etc/passwd", "time"},
		"fraction of a time":  {"touch -d @1234567890 times/subsecond", "times/subsecond", "time"},
		"time of a directory": {"touch -d @1234567890 empty/empty-dir", "empty/empty-dir", "time"},
		"time of the root":    {"touch .", ".", "time"},
		"mode of the root":    {"chmod 0700 .", ".", "mode"},
		"extra xattr":         {"setfattr -n user.new -v x etc/passwd", "etc/passwd", "xattr.user.new"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := filepath.Join(t.TempDir(), "rootfs")
			output(t, "cp", "-a", right, wrong)
			output(t, "sh", "-ec", "cd "+wrong+"\n"+c.change)
			found := treeDifferences(t, baseSpec, wrong)
			if !slices.ContainsFunc(found, func(d difference) bool { return d.path == c.path && d.what == c.what }) {
				t.Errorf("%s of %q isn't among the differences %v", c.what, c.path, found)
			}
		})
	}
	t.Run("xattrs lost", func(t *testing.T) {
		wrong := filepath.Join(t.TempDir(), "rootfs")
		output(t, "cp", "-a", "--no-preserve=xattr", right, wrong)
		for _, d := range treeDifferences(t, baseSpec, wrong) {
			if strings.HasPrefix(d.what, "xattr.user.") && d.got == "" {
				return
			}
		}
		t.Error("nobody misses them")
	})
	t.Run("a fraction that may be lost", func(t *testing.T) {
		wrong := filepath.Join(t.TempDir(), "rootfs")
		output(t, "cp", "-a", right, wrong)
		output(t, "touch", "-d", "@1234567890", filepath.Join(wrong, "times/subsecond"))
		sameTree(t, baseSpec, wrong, wholeSeconds)
	})
}
