package mount

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// wrongPassword isn't the one that the registry knows.
const wrongPassword = "n0t-the-s3cret"

// as has a mount give a password, of a user called reader; "" is no credential.
func (m *mount) as(password string) *mount {
	if password != "" {
		m.flags, m.stdin = append(m.flags, "--username", "reader", "--password-stdin"), password+"\n"
	}
	return m
}

// isDenied fails the test unless the mount is refused with these words, shows nothing, and
// neither it nor the log names a credential.
func (m *mount) isDenied(t testing.TB, says ...string) {
	t.Helper()
	m.refused(t, m.command(), 1, says...) // what it says is in the log, too
	if mounted(t, m.dir) {
		t.Error("something is mounted")
	}
	m.names(t, password, wrongPassword, "Bearer ", "Basic ")
}

// names fails the test if the log holds one of these.
func (m *mount) names(t testing.TB, hidden ...string) {
	t.Helper()
	for _, h := range hidden {
		if strings.Contains(m.log(t), h) {
			t.Errorf("the log holds %q", h)
		}
	}
}

// TestPinnedToAnother mounts one artifact with the right credential, and once more with
// the same cache for who has none, or a wrong one, or one that isn't good for this
// repository: that is refused, by tag and by digest, followed or not, and it says who
// denied it. With the registry down nobody denies it, and it is refused all the same.
func TestPinnedToAnother(t *testing.T) {
	t.Parallel()
	const repo = "team/app"
	for name, c := range map[string]struct {
		password string // of the other
		// change has the registry treat the other as it does in the end.
		first, change func(f *fake)
		says          string
	}{
		"nobody, basic": {"", func(f *fake) { f.RequireBasic("reader", password) }, nil, "401"},
		"nobody, token": {"", func(f *fake) { f.RequireBearer("reader", password, "", false) }, nil, "401"},
		"nobody, anonymous tokens": {"", func(f *fake) { f.RequireBearer("reader", password, "", false) }, func(f *fake) {
			f.RequireBearer("reader", password, "", true)
			f.Deny(repo)
		}, "401"},
		"wrong, basic": {wrongPassword, func(f *fake) { f.RequireBasic("reader", password) }, nil, "401"},
		"wrong, token": {wrongPassword, func(f *fake) { f.RequireBearer("reader", password, "", false) }, nil, "401"},
		"another, whose token isn't good for it": {wrongPassword, func(f *fake) { f.RequireBearer("reader", password, "", false) }, func(f *fake) {
			f.RequireBearer("reader", wrongPassword, "", false)
			f.Deny(repo)
		}, "401"},
		"another, who gets no token for it": {wrongPassword, func(f *fake) { f.RequireBearer("reader", password, "", false) }, func(f *fake) {
			f.RequireBearer("reader", wrongPassword, "", false)
			f.Deny(repo)
			f.RefuseTokens()
		}, "403"},
		"nobody, where it was open": {"", func(*fake) {}, func(f *fake) { f.RequireBasic("reader", password) }, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			d := f.addTexts(repo, "v1", "name.txt", "private\n").Digest
			c.first(f)
			targets := []string{f.host + "/" + repo + ":v1", f.host + "/" + repo + "@" + d.String()}
			right := prepare(t, targets[0], "--follow", "--tag-ttl", "1h")
			if name != "nobody, where it was open" {
				right.as(password)
			}
			right.mount(t)
			if got := right.cat(t, "name.txt"); got != "private\n" {
				t.Fatalf("with the right credential the file holds %q", got)
			}
			other := func(target string, flags ...string) *mount {
				m := prepare(t, target, append(flags, "--max-stale", "1h", "--timeout", "2s")...).as(c.password)
				m.cache = right.cache
				return m
			}
			if c.change != nil {
				c.change(f)
			}
			for _, target := range targets {
				other(target).isDenied(t, c.says, f.host)
			}
			other(targets[0], "--follow").isDenied(t, c.says, f.host)

			if name == "nobody, where it was open" {
				return // what it gave to nobody, nobody may go on to see in an outage
			}
			for how, fault := range map[string]fakeregistry.Fault{
				"nothing answers": {Reset: true}, "its content fails": {Path: "/" + repo + "/", Status: http.StatusBadGateway},
			} {
				up := f.Inject(fault)
				for _, target := range targets {
					other(target).isDenied(t, f.host)
				}
				if got := right.cat(t, "name.txt"); got != "private\n" {
					t.Errorf("%s: with the right credential the file holds %q", how, got)
				}
				if how == "nothing answers" || c.change == nil { // the registry knows it
					again := prepare(t, targets[0], "--timeout", "2s").as(password)
					again.cache = right.cache
					again.mount(t)
					if got := again.cat(t, "name.txt"); got != "private\n" {
						t.Errorf("%s: mounted again with the right credential the file holds %q", how, got)
					}
				}
				up()
			}
		})
	}
}

// TestRotatedCredential writes another password into the credentials file while an
// artifact is mounted, because the old one holds no longer: it is used from the next
// request on, and nobody tells the daemon.
func TestRotatedCredential(t *testing.T) {
	t.Parallel()
	for name, require := range map[string]func(f *fake, password string){
		"basic":  func(f *fake, password string) { f.RequireBasic("reader", password) },
		"bearer": func(f *fake, password string) { f.RequireBearer("reader", password, "", false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			f.addTexts("app", "v1", "one.txt", "one\n", "two.txt", "two\n", "three.txt", "three\n")
			require(f, password)
			file := credentialsFile(t, f.host, password)
			m := f.follow(t, "/app:v1", "--registry-config", file, "--tag-ttl", "1s")
			if got := m.cat(t, "one.txt"); got != "one\n" {
				t.Fatalf("the file holds %q", got)
			}
			daemon := m.daemon(t)
			require(f, "second")
			renew := func(password string) {
				if err := os.Rename(credentialsFile(t, f.host, password), file); err != nil {
					t.Fatal(err)
				}
			}
			renew("second")
			if got := m.cat(t, "two.txt"); got != "two\n" {
				t.Errorf("with another password in the file the next file holds %q", got)
			}
			moved := f.addTexts("app", "v1", "four.txt", "four\n").Digest
			m.leads(t, moved)

			// The registry has it before the file does: until then it denies.
			require(f, "third")
			eventually(t, "the tag is denied", func() bool { return try(t, "readlink", m.path("..data")).code != 0 })
			fails(t, noAccess, "cat", m.path("..data/four.txt"))
			m.logs(t, "ERROR", "EACCES", f.host+"/app:v1", "401")
			renew("third")
			eventually(t, "the tag isn't denied any more", func() bool { return try(t, "readlink", m.path("..data")).code == 0 })
			if got := m.cat(t, "four.txt"); got != "four\n" {
				t.Errorf("with a third password the file holds %q", got)
			}
			if m.daemon(t) != daemon {
				t.Error("it is another daemon")
			}
			m.names(t, password, "second", "third", "Bearer ", "Basic ")
		})
	}
}
