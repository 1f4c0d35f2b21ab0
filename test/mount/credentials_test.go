package mount

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredentials logs in with credentials from every place they can come
// from. None shows up in the process list or the log.
func TestCredentials(t *testing.T) {
	t.Parallel()
	for name, require := range map[string]func(f *fake){
		"basic":  func(f *fake) { f.RequireBasic("reader", password) },
		"bearer": func(f *fake) { f.RequireBearer("reader", password, "", false) },
	} {
		for source, give := range map[string]func(t *testing.T, m *mount){
			"password-stdin": func(_ *testing.T, m *mount) {
				m.flags, m.stdin = append(m.flags, "--username", "reader", "--password-stdin"), password+"\n"
			},
			"environment": func(_ *testing.T, m *mount) {
				m.env = []string{"ORASFS_USERNAME=reader", "ORASFS_PASSWORD=" + password}
			},
			"registry-config": func(t *testing.T, m *mount) {
				m.flags = append(m.flags, "--registry-config", credentialsFile(t, m.target, password))
			},
			"docker's": func(t *testing.T, m *mount) {
				m.env = []string{"DOCKER_CONFIG=" + filepath.Dir(credentialsFile(t, m.target, password))}
			},
		} {
			t.Run(name+", "+source, func(t *testing.T) {
				f := serveFake(t)
				_, original := f.addFile(t, "app", 1, small)
				require(f)
				m := prepare(t, f.host, "-v")
				give(t, m)
				m.mount(t)
				m.same(t, original, m.path(contentPath("app")))

				encoded := base64.StdEncoding.EncodeToString([]byte("reader:" + password))
				for _, file := range []string{"cmdline", "environ"} {
					content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.daemon(t), file))
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(content), password) {
						t.Errorf("the daemon's %s holds the password", file)
					}
				}
				for _, secret := range []string{password, encoded, "Bearer "} {
					if strings.Contains(m.log(t), secret) {
						t.Errorf("the log holds %q", secret)
					}
				}
			})
		}
	}
}
