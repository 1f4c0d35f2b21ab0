package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// healthOf is what a health answers.
func healthOf(t *testing.T, h *health) (status int, body string) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return answer.Code, answer.Body.String()
}

// What asks is bounded: a mount that doesn't answer is told, each time, and nothing is
// left of what asked.
func TestHealthOfSilentMount(t *testing.T) {
	h := newHealth("/mnt/oci")
	h.within = 100 * time.Millisecond
	var asked []*exec.Cmd
	h.command = func(ctx context.Context, _ string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "sleep", "600")
		asked = append(asked, cmd)
		return cmd
	}
	for range 2 {
		if status, body := healthOf(t, h); status != http.StatusServiceUnavailable || !strings.Contains(body, "/mnt/oci doesn't answer") {
			t.Errorf("%d %s", status, body)
		}
	}
	h.asking <- struct{}{} // once nobody asks
	for _, cmd := range asked {
		if cmd.ProcessState == nil {
			t.Error("what asked goes on")
		}
	}
}

// While one question has no answer there is no second one.
func TestHealthAsksOnce(t *testing.T) {
	h := newHealth("/mnt/oci")
	h.within = 50 * time.Millisecond
	h.command = func(context.Context, string) *exec.Cmd {
		t.Error("it is asked")
		return exec.Command("true")
	}
	h.asking <- struct{}{}
	if status, body := healthOf(t, h); status != http.StatusServiceUnavailable || !strings.Contains(body, "doesn't answer") {
		t.Errorf("%d %s", status, body)
	}
}

// What asks says what is wrong: a place where nothing of orasfs is mounted, or where
// there is nothing.
func TestAskMount(t *testing.T) {
	for path, want := range map[string]string{t.TempDir(): "nothing of orasfs is mounted", "/nowhere/at/all": "no such file or directory"} {
		var said bytes.Buffer
		if code := askMount(path, &said); code != exitFailure || !strings.Contains(said.String(), want) {
			t.Errorf("%s: exit code %d: %s", path, code, said.String())
		}
	}
	h := newHealth("/nowhere/at/all")
	h.command = func(ctx context.Context, mountpoint string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Args = askMountCommand(ctx, mountpoint).Args
		return cmd
	}
	if status, body := healthOf(t, h); status != http.StatusServiceUnavailable || !strings.Contains(body, "no such file or directory") {
		t.Errorf("%d %s", status, body)
	}
}
