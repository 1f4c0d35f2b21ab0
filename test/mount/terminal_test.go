package mount

import (
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// TestTerminal has a registry say what would drive the terminal of who mounts:
// wherever it is shown, it is quoted.
func TestTerminal(t *testing.T) {
	t.Parallel()
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"\u001b[2Jall gone\u009b31m\u202etxt"}]}`)) // the client may have left
	}))
	for _, flag := range []string{"--foreground=false", "-f", "--log-format=json"} {
		m := prepare(t, host)
		r := finish(t, m.command(flag, "-v"))
		if r.code == 0 || !strings.Contains(r.stderr, "all gone") {
			t.Errorf("%s: exit code %d\n%s", flag, r.code, r.stderr)
		}
		for _, text := range []string{r.stderr, m.log(t)} {
			if i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("%s: it prints %q", flag, text[i:])
			}
		}
	}
}
