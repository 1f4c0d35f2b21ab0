package mount

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A cosign is one of the commands, and a pair of keys that it made.
type cosign struct {
	program string
	dir     string // of cosign.key and cosign.pub
}

func newCosign(t testing.TB, name string) *cosign {
	t.Helper()
	c := &cosign{tool(t, name), t.TempDir()}
	c.does(t, nil, "generate-key-pair")
	return c
}

func (c *cosign) public() string { return filepath.Join(c.dir, "cosign.pub") }

// does runs the command, with further variables in its environment.
func (c *cosign) does(t testing.TB, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(c.program, args...)
	cmd.Dir = c.dir
	cmd.Env = environment(append(env, "COSIGN_PASSWORD=", "HOME="+c.dir)...)
	printed(t, cmd)
}

// sign signs a reference by its digest, and tells no transparency log.
func (c *cosign) sign(t testing.TB, env []string, reference string, flags ...string) {
	t.Helper()
	c.does(t, env, append(append([]string{"sign", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry", "--yes"}, flags...), reference)...)
}

// TestCosign has both commands sign, in each of their ways, in registries with the
// referrers API and without.
func TestCosign(t *testing.T) {
	t.Parallel()
	two, three, stranger := newCosign(t, "cosign2"), newCosign(t, "cosign3"), newCosign(t, "cosign3")
	const noService = "--use-signing-config=false"
	for kind, start := range map[string]func(testing.TB) *registry{"olareg": startOlareg, "distribution": startDistribution} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			pushed := map[string]string{}
			for _, tag := range []string{"tag", "referrer", "bundle2", "bundle3", "tag3", "attested", "unsigned", "stranger"} {
				pushed[tag] = r.host + "/app@" + r.push(t, folder(t, map[string]string{"text.txt": tag}), "app:"+tag, "text.txt")
			}
			two.sign(t, nil, pushed["tag"])
			two.sign(t, []string{"COSIGN_EXPERIMENTAL=1"}, pushed["referrer"], "--registry-referrers-mode=oci-1-1")
			two.sign(t, nil, pushed["bundle2"], "--new-bundle-format")
			three.sign(t, nil, pushed["bundle3"], noService)
			three.sign(t, nil, pushed["tag3"], noService, "--new-bundle-format=false")
			stranger.sign(t, nil, pushed["stranger"], noService)
			three.does(t, nil, "attest", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry", "--yes", noService,
				"--type", "custom", "--predicate", filepath.Join(folder(t, map[string]string{"predicate": "{}"}), "predicate"), pushed["attested"])

			m := mountRegistry(t, r.host, "--verify-key", two.public(), "--verify-key", three.public())
			for tag, by := range map[string]*cosign{"tag": two, "referrer": two, "bundle2": two, "bundle3": three, "tag3": three} {
				if r := try(t, "cat", m.path("app:"+tag, "files/text.txt")); r.stdout != tag {
					t.Errorf("%s holds %q\n%s", tag, r.stdout, r.stderr)
					continue
				}
				if got := m.xattr(t, "user.oci.verified", "app/_manifests/sha256", hexOf(digestNamed(pushed[tag]))); got != "key "+by.public() {
					t.Errorf("%s is verified by %q", tag, got)
				}
				if n := len(m.referrers(t, "app:"+tag)); (n == 0) != (strings.HasPrefix(tag, "tag")) {
					t.Errorf("%s has %d referrers", tag, n)
				}
			}
			m.cat(t, "app/_tags/sha256-"+hexOf(digestNamed(pushed["tag"]))+".sig/manifest.json")
			for _, tag := range []string{"unsigned", "stranger", "attested"} {
				fails(t, noAccess, "cat", m.path("app:"+tag, "files/text.txt"))
			}
			m.logs(t, "ERROR", digestNamed(pushed["attested"]), "attestation")
		})
	}
}

// digestNamed is the digest of a reference.
func digestNamed(reference string) string {
	_, d, _ := strings.Cut(reference, "@")
	return d
}

// TestCosignIndex signs an index, and in another one what it lists.
func TestCosignIndex(t *testing.T) {
	t.Parallel()
	r, c := startOlareg(t), newCosign(t, "cosign2")
	make := func(name string) (index, child string) {
		child = r.push(t, folder(t, map[string]string{"text.txt": name}), "app:"+name+"-child", "text.txt", "--artifact-platform", "linux/amd64")
		return digestIn(t, orasIn(t, "", "manifest", "index", "create", r.host+"/app:"+name, name+"-child")), child
	}
	signedIndex, listed := make("index")
	_, signedChild := make("child")
	c.sign(t, nil, r.host+"/app@"+signedIndex)
	c.sign(t, nil, r.host+"/app@"+signedChild)
	m := mountRegistry(t, r.host, "--verify-key", c.public(), "--platform", "linux/amd64")
	fails(t, noAccess, "cat", m.path("app/_manifests/sha256", hexOf(listed), "files/text.txt"))
	for _, file := range []string{"app:index/files/text.txt", "app/_manifests/sha256/" + hexOf(listed) + "/files/text.txt"} {
		if got := m.cat(t, file); got != "index" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	fails(t, noAccess, "cat", m.path("app:child/files/text.txt"))
	if got := m.cat(t, "app:child-child/files/text.txt"); got != "child" {
		t.Errorf("a signed manifest of an index that isn't holds %q", got)
	}
}

// TestNotation asks notation, by a verifier of a few lines.
func TestNotation(t *testing.T) {
	t.Parallel()
	notation, home := tool(t, "notation"), t.TempDir()
	does := func(args ...string) {
		cmd := exec.Command(notation, args...)
		cmd.Env = environment("XDG_CONFIG_HOME=" + home)
		printed(t, cmd)
	}
	does("cert", "generate-test", "--default", "orasfs.example")
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"version": "1.0", "trustPolicies": [{
		"name": "test", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
		"trustStores": ["ca:orasfs.example"], "trustedIdentities": ["*"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	does("policy", "import", policy)
	r := startOlareg(t)
	pushed := r.host + "/app@" + r.push(t, folder(t, map[string]string{"text.txt": "signed"}), "app:signed", "text.txt")
	r.push(t, folder(t, map[string]string{"text.txt": "unsigned"}), "app:unsigned", "text.txt")
	does("sign", "--force-referrers-tag=false", pushed)
	dir, _ := verifierDir(t, fmt.Sprintf("export XDG_CONFIG_HOME=%s\nexec %s verify --insecure-registry \"$name\" 2>&1", home, notation))
	m := mountRegistry(t, r.host, "--verifier-dir", dir, "--verifier-timeout", "2m", "--timeout", "2m")
	if got := m.cat(t, "app:signed/files/text.txt"); got != "signed" {
		t.Errorf("it holds %q", got)
	}
	if got := m.xattr(t, "user.oci.verified", "app/_manifests/sha256", hexOf(digestNamed(pushed))); !strings.Contains(got, "Successfully verified signature") {
		t.Errorf("it is verified by %q", got)
	}
	fails(t, noAccess, "cat", m.path("app:unsigned/files/text.txt"))
	m.logs(t, "ERROR", "verifier check", "no signature is associated")
}
