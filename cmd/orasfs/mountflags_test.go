package main

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

func TestDefaults(t *testing.T) {
	withoutSettings(t)
	t.Setenv("HOME", "/home/me")
	t.Setenv("XDG_CACHE_HOME", "/home/me/.cache")
	r := mustRequest(t, "", "localhost:5000/hello", "/mnt")
	want := cache.Options{Dir: defaultCacheDir(), Size: 10 << 30, Memory: 256 << 20, Concurrency: 8, Timeout: 30 * time.Second}
	if r.cache != want {
		t.Errorf("cache options %+v, expected %+v", r.cache, want)
	}
	if !r.passthrough {
		t.Error("passthrough is off")
	}
	if r.tagTTL != time.Minute || r.maxStale != 24*time.Hour {
		t.Errorf("tag-ttl %s, max-stale %s", r.tagTTL, r.maxStale)
	}
	wantRegistry := resolver.Options{HostsDir: "/etc/containerd/certs.d", Timeout: 30 * time.Second, Concurrency: 8, UserAgent: "orasfs/" + buildVersion()}
	if !reflect.DeepEqual(r.registry, wantRegistry) {
		t.Errorf("registry options %+v, expected %+v", r.registry, wantRegistry)
	}
	if r.target.Host != "localhost:5000" || r.target.Name != "hello" {
		t.Errorf("target %+v", r.target)
	}
}

func TestFlagSources(t *testing.T) {
	tests := []struct {
		name        string
		environment map[string]string
		args        []string
		want        time.Duration // of --tag-ttl
	}{
		{"flag", nil, []string{"--tag-ttl=2m"}, 2 * time.Minute},
		{"option", nil, []string{"-o", "tag-ttl=3m"}, 3 * time.Minute},
		{"the last of two options", nil, []string{"-o", "tag-ttl=3m,ro", "-o", "tag-ttl=4m"}, 4 * time.Minute},
		{"flag before option", nil, []string{"--tag-ttl=2m", "-o", "tag-ttl=3m"}, 2 * time.Minute},
		{"environment", map[string]string{"ORASFS_TAG_TTL": "5m"}, nil, 5 * time.Minute},
		{"empty variable", map[string]string{"ORASFS_TAG_TTL": ""}, nil, time.Minute},
		{"flag before environment", map[string]string{"ORASFS_TAG_TTL": "5m"}, []string{"--tag-ttl=2m"}, 2 * time.Minute},
		{"option before environment", map[string]string{"ORASFS_TAG_TTL": "5m"}, []string{"-o", "tag-ttl=3m"}, 3 * time.Minute},
		{"options in the environment", map[string]string{"ORASFS_OPTIONS": "tag-ttl=6m"}, nil, 6 * time.Minute},
		{"environment before its options", map[string]string{"ORASFS_OPTIONS": "tag-ttl=6m", "ORASFS_TAG_TTL": "5m"}, nil, 5 * time.Minute},
		{"option replaces those of the environment", map[string]string{"ORASFS_OPTIONS": "tag-ttl=6m"}, []string{"-o", "noexec"}, time.Minute},
		{"zero is at once, not the default", nil, []string{"--tag-ttl=0"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withoutSettings(t)
			for name, value := range test.environment {
				t.Setenv(name, value)
			}
			if got := mustRequest(t, "", append(test.args, "localhost:5000", "/mnt")...).tagTTL; got != test.want {
				t.Errorf("tag-ttl %s, expected %s", got, test.want)
			}
		})
	}
}

func TestEveryFlagInEnvironment(t *testing.T) {
	withoutSettings(t)
	dir := t.TempDir()
	for name, value := range map[string]string{
		"PLAIN_HTTP":       "true",
		"INSECURE":         "1",
		"CA_FILE":          dir + "/ca.pem",
		"CERT_FILE":        dir + "/cert.pem",
		"KEY_FILE":         dir + "/key.pem",
		"HEADER":           "X-One: 1, 2\nx-two:3\n",
		"RESOLVE":          "localhost:5000:127.0.0.2\nA.example:443:[::1]:5001",
		"REGISTRY_CONFIG":  dir + "/config.json\n" + dir + "/other.json",
		"HOSTS_DIR":        dir + "/certs.d",
		"USERNAME":         "me",
		"PASSWORD":         "secret",
		"CONCURRENCY":      "3",
		"TIMEOUT":          "7s",
		"CACHE_DIR":        dir + "/cache",
		"CACHE_SIZE":       "1GiB",
		"MEMORY":           "64m",
		"TAG_TTL":          "5m",
		"MAX_STALE":        "1h",
		"VERIFY":           "full",
		"PASSTHROUGH":      "off",
		"VERIFIER_DIR":     dir + "/verifiers",
		"VERIFIER_TIMEOUT": "3s",
		"VERIFY_KEY":       dir + "/a.pub\n" + dir + "/b.pub",
		"OPTIONS":          "allow_other,noexec",
		"VERBOSE":          "true",
		"LOG_FORMAT":       "json",
	} {
		t.Setenv("ORASFS_"+name, value)
	}
	got := mustRequest(t, "", "localhost:5000", "/mnt")
	got.flags, got.secrets = nil, secrets{}
	for _, name := range []string{"ORASFS_PASSWORD", "ORASFS_HEADER", "ORASFS_OPTIONS"} {
		if _, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still in the environment", name)
		}
	}
	want := &mountRequest{
		target:     target{Target: resolver.Target{Host: "localhost:5000"}, text: "localhost:5000"},
		mountpoint: "/mnt",
		registry: resolver.Options{
			PlainHTTP: new(true), Insecure: true, CAFile: dir + "/ca.pem", CertFile: dir + "/cert.pem", KeyFile: dir + "/key.pem",
			RegistryConfigs: []string{dir + "/config.json", dir + "/other.json"},
			HostsDir:        dir + "/certs.d",
			Header:          http.Header{"X-One": {"1, 2"}, "X-Two": {"3"}},
			Resolve:         map[string]string{"localhost:5000": "127.0.0.2:5000", "a.example:443": "[::1]:5001"},
			Username:        "me", Password: "secret", Concurrency: 3, Timeout: 7 * time.Second, UserAgent: "orasfs/" + buildVersion(),
		},
		cache: cache.Options{
			Dir: dir + "/cache", Size: 1 << 30, Memory: 64 << 20, Verify: cache.VerifyFull, Concurrency: 3, Timeout: 7 * time.Second,
		},
		tagTTL: 5 * time.Minute, maxStale: time.Hour,
		signed: signedFlags{
			verifierDir: dir + "/verifiers", verifierTimeout: 3 * time.Second, verifyKeys: []string{dir + "/a.pub", dir + "/b.pub"},
		},
		allowOther: true, kernelOptions: []string{"noexec"},
		verbose: true, logFormat: "json",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		name  string
		env   string // NAME=VALUE
		args  []string
		words []string
	}{
		{"size", "", []string{"--cache-size=ten"}, []string{"--cache-size", "not a size"}},
		{"size of nothing", "", []string{"--cache-size=0"}, []string{"--cache-size", "out of range"}},
		{"negative size", "", []string{"--memory=-1"}, []string{"--memory"}},
		{"little memory", "", []string{"--memory=1MiB"}, []string{"--memory", "16MiB"}},
		{"duration", "", []string{"--tag-ttl=5"}, []string{"--tag-ttl", "missing unit"}},
		{"negative duration", "", []string{"--max-stale=-1s"}, []string{"--max-stale", "negative"}},
		{"no timeout", "", []string{"--timeout=0"}, []string{"--timeout"}},
		{"concurrency", "", []string{"--concurrency=0"}, []string{"--concurrency"}},
		{"verifier timeout", "", []string{"--verifier-timeout=0s"}, []string{"--verifier-timeout", "more than 0"}},
		{"verify", "", []string{"--verify=never"}, []string{"--verify", "lazy or full"}},
		{"passthrough", "", []string{"--passthrough=on"}, []string{"--passthrough", "auto or off"}},
		{"profiles nowhere", "", []string{"--pprof"}, []string{"--pprof", "--metrics-addr"}},
		{"address without a port", "", []string{"--metrics-addr=localhost"}, []string{"--metrics-addr", "HOST:PORT"}},
		{"log format", "", []string{"--log-format=xml"}, []string{"--log-format", "text or json"}},
		{"unknown flag", "", []string{"--password=x"}, []string{"--password"}},
		{"environment", "ORASFS_CACHE_SIZE=ten", nil, []string{"ORASFS_CACHE_SIZE", "not a size"}},
		{"options in the environment", "ORASFS_OPTIONS=nope", nil, []string{"ORASFS_OPTIONS", "nope"}},
		{"username alone", "", []string{"-u", "me"}, []string{"--username", "--password-stdin"}},
		{"username with a colon", "", []string{"-u", "me:too", "--password-stdin"}, []string{"--username", "colon"}},
		{"two secrets", "", []string{"--password-stdin", "--identity-token-stdin"}, []string{"--identity-token-stdin", "give one"}},
		{"identity token of a user", "", []string{"--identity-token-stdin", "-u", "me"}, []string{"--username"}},
		{"certificate alone", "", []string{"--cert-file=x"}, []string{"--key-file", "both"}},
		{"key in the environment alone", "ORASFS_KEY_FILE=x", nil, []string{"--cert-file", "both"}},
		{"resolve", "", []string{"--resolve=localhost:5000"}, []string{"--resolve", "localhost:5000", "no address"}},
		{"header without a colon", "", []string{"-H", "A: b", "--header", "s3cret"}, []string{"--header", "header 2", "colon"}},
		{"header of the connection", "", []string{"-H", "Host: s3cret"}, []string{"--header", "Host"}},
		{"many headers", "ORASFS_HEADER=" + strings.Repeat("A: s3cret\n", maxHeaders+1), nil, []string{"headers"}},
		{"header cut at a comma", "", []string{"-o", "header=A: s3,s3cret"}, []string{"-o header", "comma"}},
		{"no password", "", []string{"--password-stdin"}, []string{"--password-stdin", "nothing"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withoutSettings(t)
			if name, value, ok := strings.Cut(test.env, "="); ok {
				t.Setenv(name, value)
			}
			_, err := request(t, "", append(test.args, "localhost:5000", "/mnt")...)
			wantError(t, err, test.words...)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a value is shown: %v", err)
			}
		})
	}
}

// A flag that can be repeated has all of its values, wherever they are given.
func TestRepeatedFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"flags":   {"--registry-config=/a", "--registry-config=/b", "-H", "X: 1", "--header=X: 2"},
		"options": {"-o", "registry-config=/a,header=X:1,ro", "-o", "header=X:2,registry-config=/b"},
	} {
		withoutSettings(t)
		t.Setenv("ORASFS_HEADER", "X: 3") // not used
		r := mustRequest(t, "", append(args, "localhost:5000", "/mnt")...)
		if got, want := r.registry.RegistryConfigs, []string{"/a", "/b"}; !slices.Equal(got, want) {
			t.Errorf("%s: the files are %q, not %q", name, got, want)
		}
		if got, want := r.registry.Header["X"], []string{"1", "2"}; !slices.Equal(got, want) {
			t.Errorf("%s: the headers are %q, not %q", name, got, want)
		}
	}
}

// Whether HTTP or TLS is talked is what the user says, if he says it.
func TestPlainHTTP(t *testing.T) {
	for _, test := range []struct {
		variable string
		args     []string
		want     *bool
	}{
		{"", nil, nil},
		{"", []string{"--plain-http"}, new(true)},
		{"", []string{"--plain-http=false"}, new(false)},
		{"", []string{"-o", "plain-http"}, new(true)},
		{"", []string{"-o", "plain-http=false"}, new(false)},
		{"false", nil, new(false)},
		{"true", []string{"--plain-http=false"}, new(false)},
	} {
		withoutSettings(t)
		t.Setenv("ORASFS_PLAIN_HTTP", test.variable)
		if got := mustRequest(t, "", append(test.args, "localhost:5000", "/mnt")...).registry.PlainHTTP; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q %q: %v, want %v", test.variable, test.args, got, test.want)
		}
	}
}

func TestTargets(t *testing.T) {
	withoutSettings(t)
	for _, target := range []string{"localhost:5000", "ghcr.io/org/app", "[::1]:5000/a/b"} {
		mustRequest(t, "", target, "/mnt")
	}
	const digest = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"
	for target, reference := range map[string]string{"localhost:5000/hello:v1": "v1", "localhost:5000/hello@" + digest: digest} {
		if r := mustRequest(t, "", "--view=files", "--platform=linux/arm/v7", target, "/mnt"); r.target.Reference != reference ||
			r.view != fs.ViewFiles || r.platform.Variant != "v7" {
			t.Errorf("%s: %+v", target, r)
		}
	}
	_, err := request(t, "", "--view=files", "localhost:5000/hello", "/mnt")
	wantError(t, err, "--view", "tag or a digest")
	for _, target := range []string{"", "/hello", "localhost:5000/UPPER", "-x"} {
		if _, err := request(t, "", "--", target, "/mnt"); err == nil {
			t.Errorf("target %q is taken", target)
		}
	}
}

func TestRelativePaths(t *testing.T) {
	withoutSettings(t)
	dir := t.TempDir()
	t.Chdir(dir)
	r := mustRequest(t, "", "--cache-dir=c", "--ca-file=./ca.pem", "--cert-file=c.pem", "--key-file=k.pem",
		"--registry-config=../x.json", "--registry-config=y.json", "localhost:5000", "m")
	for got, want := range map[string]string{
		r.cache.Dir:                   dir + "/c",
		r.registry.CAFile:             dir + "/ca.pem",
		r.registry.CertFile:           dir + "/c.pem",
		r.registry.KeyFile:            dir + "/k.pem",
		r.registry.RegistryConfigs[0]: filepath.Dir(dir) + "/x.json",
		r.registry.RegistryConfigs[1]: dir + "/y.json",
	} {
		if got != want {
			t.Errorf("path %s, expected %s", got, want)
		}
	}
	for _, flag := range []string{"--cache-dir=" + dir + "/c", "--key-file=" + dir + "/k.pem", "--registry-config=" + dir + "/y.json"} {
		if !slices.Contains(r.daemonArgs(), flag) {
			t.Errorf("the daemon, which runs in /, gets %q and not %s", r.daemonArgs(), flag)
		}
	}
}
