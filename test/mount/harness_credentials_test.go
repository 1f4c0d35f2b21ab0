package mount

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// The password of a user called reader, and both as htpasswd writes them
// (bcrypt).
const (
	password     = "s3cret-p4ssword"
	htpasswdLine = "reader:$2a$04$toEkdB03TQMGzSOBb8FnCeIom9.gcLVeecc7Hy1vY41TyIwYtmfKa\n"
)

// startClosedDistribution starts a distribution that talks TLS, with a
// certificate of a private authority, and only to whom has the password.
func startClosedDistribution(t testing.TB) (r *registry, caFile string) {
	t.Helper()
	c, port := newCertificate(t), freePort(t)
	users := filepath.Join(folder(t, map[string]string{"htpasswd": htpasswdLine}), "htpasswd")
	p := startDistributionOn(t, distribution, port, fmt.Sprintf("  tls:\n    certificate: %q\n    key: %q\nauth:\n  htpasswd:\n    realm: tests\n    path: %q\n",
		c.file, c.key, users))
	return p.answers(t, c.client(t), fmt.Sprintf("https://0.0.0.0:%d", port), http.StatusUnauthorized), c.authority
}

// credentialsFile writes what `docker login` writes.
func credentialsFile(t *testing.T, host, password string) string {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("reader:" + password))
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
