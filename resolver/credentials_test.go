package resolver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// writeConfig writes a registry config for a host.
func writeConfig(t *testing.T, file, host, username, password string) {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	writeFile(t, file, fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, encoded), 0o600)
}

func writeFile(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestRegistryConfig(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	host := serve(t, fake)
	file := filepath.Join(t.TempDir(), "config.json")

	writeConfig(t, file, "other.example.com", "alice", "secret")
	r := dial(t, host, Options{RegistryConfigs: []string{file}})
	wantStatus(t, r.Ping(t.Context()), 401)
	for _, request := range fake.Requests() {
		if request.Header.Get("Authorization") != "" {
			t.Error("another host's credential was sent")
		}
	}

	// A login while it is mounted is noticed.
	writeConfig(t, file, host, "alice", "secret")
	if err := r.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	explicit := dial(t, host, Options{RegistryConfigs: []string{file}, Username: "alice", Password: "x"})
	wantStatus(t, explicit.Ping(t.Context()), 401)
}

func TestDefaultRegistryConfig(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	host := serve(t, fake)
	dir := t.TempDir()
	writeConfig(t, filepath.Join(dir, "config.json"), host, "alice", "secret")
	t.Setenv("DOCKER_CONFIG", dir)
	if err := dial(t, host, Options{}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", "")
	wantStatus(t, dial(t, host, Options{}).Ping(t.Context()), 401)
}

// Of several files the first that has a credential for the host counts.
func TestRegistryConfigs(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	host := serve(t, fake)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a.json"), filepath.Join(dir, "b.json"), filepath.Join(dir, "c.json")}
	writeConfig(t, files[0], "other.example.com", "alice", "wrong")
	writeConfig(t, files[1], host, "alice", "secret")
	writeConfig(t, files[2], host, "alice", "wrong")
	if err := dial(t, host, Options{RegistryConfigs: files}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	wantStatus(t, dial(t, host, Options{RegistryConfigs: []string{files[2], files[1]}}).Ping(t.Context()), 401)
	if _, err := NewRegistry(host, Options{RegistryConfigs: append(files, filepath.Join(dir, "none"))}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
}

func TestRegistryConfigThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if _, err := NewRegistry("example.com", Options{RegistryConfigs: []string{file}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
	writeFile(t, file, "{", 0o600)
	if _, err := NewRegistry("example.com", Options{RegistryConfigs: []string{file}}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("broken file: error %v", err)
	}
}

// withHelper puts a credential helper on PATH and returns a config that names it.
func withHelper(t *testing.T, script string) (config string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "docker-credential-fake"), "#!/bin/sh\n"+script, 0o755)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	config = filepath.Join(dir, "config.json")
	writeFile(t, config, `{"credsStore": "fake"}`, 0o600)
	return config
}

func TestCredentialHelper(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "identity", false)
	for _, answer := range []string{
		`{"Username": "alice", "Secret": "secret"}`,
		`{"Username": "<token>", "Secret": "identity"}`,
	} {
		config := withHelper(t, "cat >/dev/null; echo '"+answer+"'")
		if err := connect(t, fake, Options{RegistryConfigs: []string{config}}).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestCredentialHelperFails(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBasic("alice", "secret")
	config := withHelper(t, "echo no keychain here; exit 1")
	err := connect(t, fake, Options{RegistryConfigs: []string{config}}).Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no keychain here") {
		t.Errorf("error %v", err)
	}
}

// A helper that hangs, with a child that holds its output open, holds up
// nobody for longer than they wait.
func TestCredentialHelperHangs(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	end := filepath.Join(dir, "end")
	script := fmt.Sprintf("(touch %s; while ! test -e %s; do sleep 0.02; done) & wait", started, end)
	r := dial(t, "example.com", Options{RegistryConfigs: []string{withHelper(t, script)}})
	t.Cleanup(func() {
		writeFile(t, end, "", 0o600)
		r.credentials.turn <- struct{}{} // the helper is gone
	})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan error)
		go func() {
			_, err := r.credentials.credential(ctx, "example.com")
			asked <- err
		}()
		for _, err := os.Stat(started); err != nil; _, err = os.Stat(started) {
		}
		cancel()
		wantIs(t, <-asked, context.Canceled)
	}
}

func TestExplicitCredentialIsForItsHostOnly(t *testing.T) {
	for given, asked := range map[string]string{"ghcr.io": "ghcr.io", "docker.io": "registry-1.docker.io"} {
		source, err := newCredentialSource(given, Options{Username: "alice", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		want := auth.Credential{Username: "alice", Password: "secret"}
		if got, err := source.credential(t.Context(), asked); got != want || err != nil {
			t.Errorf("%s: %v, %v", asked, got, err)
		}
		if got, err := source.credential(t.Context(), "evil.example.com"); got != auth.EmptyCredential || err != nil {
			t.Errorf("another host: %v, %v", got, err)
		}
	}
}

func TestCredentialsInErrors(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "other", "", false)
	fake.Inject(fakeregistry.Fault{Path: "/token", Status: 500})
	r := repo(t, fake, Options{Username: "alice", Password: "hidden"})
	_, err := r.Resolve(t.Context(), "v1")
	_, _, fetchErr := fetch(r.Blob(fake.AddBlob("app", alphabet)), 0, 4)
	for _, err := range []error{err, fetchErr} {
		wantStatus(t, err, 500)
		encoded := base64.StdEncoding.EncodeToString([]byte("alice:hidden"))
		if text := fmt.Sprint(err); strings.Contains(text, "hidden") || strings.Contains(text, encoded) {
			t.Errorf("error %v holds the password", err)
		}
	}
}

func TestCredential(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeConfig(t, file, "example.com", "alice", "secret")
	ids := make(map[string]string)
	for name, o := range map[string]Options{
		"header":         {Header: http.Header{"X-Key": {"secret"}}},
		"other header":   {Header: http.Header{"X-Key": {"x"}}},
		"file, header":   {RegistryConfigs: []string{file}, Header: http.Header{"X-Key": {"secret"}}},
		"none":           {},
		"file":           {RegistryConfigs: []string{file}},
		"other password": {Username: "alice", Password: "x"},
		"identity token": {Password: "secret"},
	} {
		r, err := NewRegistry("example.com", o)
		if err != nil {
			t.Fatal(err)
		}
		id, err := r.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for other, known := range ids {
			if id == known {
				t.Errorf("%s and %s are the same", name, other)
			}
		}
		ids[name] = id
		if again, err := r.Credential(t.Context()); again != id || err != nil {
			t.Errorf("%s: another one, %v", name, err)
		}
	}
	if ids["none"] != "" {
		t.Errorf("%q is no credential", ids["none"])
	}
}

// A helper that worked and fails now, in an outage, leaves the credential what it was;
// another credential is another, and one that was never found is an error.
func TestCredentialWithoutHelper(t *testing.T) {
	answer := filepath.Join(t.TempDir(), "answer")
	config := withHelper(t, "cat >/dev/null; cat "+answer)
	writeFile(t, answer, `{"Username": "alice", "Secret": "secret"}`, 0o600)
	r := dial(t, "example.com", Options{RegistryConfigs: []string{config}})
	id := func() (string, error) {
		r.identity.mu.Lock()
		if !r.identity.until.IsZero() {
			r.identity.until = time.Now().Add(-time.Second)
		}
		r.identity.mu.Unlock()
		return r.Credential(t.Context())
	}
	first, err := id()
	if err != nil || first == "" {
		t.Fatalf("%q, %v", first, err)
	}
	if err := os.Remove(answer); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if again, err := id(); again != first || err != nil {
			t.Errorf("without the helper: another one, %v", err)
		}
	}
	if _, err := dial(t, "example.com", Options{RegistryConfigs: []string{config}}).Credential(t.Context()); err == nil {
		t.Error("one that was never found is known")
	}
	writeFile(t, answer, `{"Username": "bob", "Secret": "secret"}`, 0o600)
	if other, err := id(); other == first || err != nil {
		t.Errorf("another credential: the same, %v", err)
	}
}

// What a registry said is remembered for the way in which it was asked.
func TestAsking(t *testing.T) {
	plain := true
	asking := make(map[string]string)
	for name, o := range map[string]Options{
		"TLS":             {},
		"plain HTTP":      {PlainHTTP: &plain},
		"any certificate": {Insecure: true},
		"at an address":   {Resolve: map[string]string{"example.com:443": "192.0.2.1:443"}},
		"at another":      {Resolve: map[string]string{"example.com:443": "192.0.2.2:443"}},
		"a password":      {Username: "alice", Password: "secret"},
	} {
		r, err := NewRegistry("example.com", o)
		if err != nil {
			t.Fatal(err)
		}
		id, err := r.Asking(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for other, known := range asking {
			if id == known {
				t.Errorf("%s and %s are the same", name, other)
			}
		}
		asking[name] = id
	}
	r, err := NewRegistry("localhost:5000", Options{Resolve: map[string]string{"example.com:443": "192.0.2.1:443"}})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := r.Asking(t.Context()); id != "" || err != nil {
		t.Errorf("localhost, and an address of another: %q, %v", id, err)
	}
}
