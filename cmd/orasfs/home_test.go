package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

// HOME is where it says, unless that is somebody else's.
func TestHomeDirectory(t *testing.T) {
	root, err := user.LookupId("0")
	if err != nil {
		t.Skip(err)
	}
	if os.Geteuid() == 0 {
		if got := homeDirectory("/home/of/sudo"); got != "/home/of/sudo" {
			t.Errorf("root's home is %s", got)
		}
		if got := homeDirectory(""); got != root.HomeDir {
			t.Errorf("without HOME root's home is %q", got)
		}
		asPlainUser(t, "TestHomeDirectory")
		return
	}
	me, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skip(err)
	}
	dir := realDir(t)
	for home, want := range map[string]string{
		"":                                   me.HomeDir,
		root.HomeDir:                         me.HomeDir,
		filepath.Join(root.HomeDir, "below"): me.HomeDir,
		"/":                                  me.HomeDir,
		dir:                                  dir,
		"/tmp":                               "/tmp", // another's, where all may write
		filepath.Join(dir, "to-be"):          filepath.Join(dir, "to-be"),
	} {
		if got := homeDirectory(home); got != want {
			t.Errorf("with HOME=%s it is %s, not %s", home, got, want)
		}
	}
}

func TestSettleHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if err := settleHome(); err != nil {
		t.Fatal(err)
	}
	me, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		t.Skip(err)
	}
	if got, want := defaultCacheDir(), filepath.Join(me.HomeDir, ".cache", "orasfs"); got != want {
		t.Errorf("the cache is in %s, not %s", got, want)
	}
}

// A daemon runs in /: no path in its environment may go by where it was started.
func TestRelativePathsInEnvironment(t *testing.T) {
	withoutSettings(t)
	dir := realDir(t)
	t.Chdir(dir)
	for name, value := range map[string]string{"HOME": ".", "DOCKER_CONFIG": "docker", "SSL_CERT_FILE": "./ca.pem", "SSL_CERT_DIR": "a:/b::../c"} {
		t.Setenv(name, value)
	}
	mustRequest(t, "", "--cache-dir=c", "localhost:5000", "m")
	for name, want := range map[string]string{
		"HOME": dir, "DOCKER_CONFIG": dir + "/docker", "SSL_CERT_FILE": dir + "/ca.pem",
		"SSL_CERT_DIR": dir + "/a:/b::" + filepath.Dir(dir) + "/c",
	} {
		if got := os.Getenv(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	t.Setenv("DOCKER_CONFIG", "")
	mustRequest(t, "", "--cache-dir=c", "localhost:5000", "m")
	if got := os.Getenv("DOCKER_CONFIG"); got != "" {
		t.Errorf("DOCKER_CONFIG, which isn't set, is %s", got)
	}
}
