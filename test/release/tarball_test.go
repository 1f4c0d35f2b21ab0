package release

import (
	"debug/elf"
	"debug/macho"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// tarballProgram is orasfs in the tarball of a platform.
func tarballProgram(t *testing.T, platform string) string {
	t.Helper()
	name := "orasfs-" + version + "-" + platform
	held := untar(t, readFile(t, filepath.Join(release, name+".tar.gz")))
	for _, path := range []string{"LICENSE", "LICENSES", "README.md", "man/orasfs-mount.1", "man/mount.orasfs.8", "completions/orasfs.bash", "completions/orasfs.zsh", "completions/orasfs.fish"} {
		if m, ok := held[name+"/"+path]; !ok || m.content == "" || m.mode != 0o644 {
			t.Errorf("%s has no %s, or not for everybody to read: mode %o", name, path, m.mode)
		}
	}
	program := held[name+"/orasfs"]
	if program.mode != 0o755 {
		t.Errorf("%s: the program has the mode %o", name, program.mode)
	}
	return program.content
}

// checkStatic sees that a program of Linux is for an architecture, and needs no libraries.
func checkStatic(t *testing.T, content, arch string) {
	t.Helper()
	program, err := elf.NewFile(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; program.Machine != want {
		t.Errorf("the program for %s is for %s", arch, program.Machine)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Errorf("the program for %s isn't static", arch)
		}
	}
}

func TestTarballs(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		checkStatic(t, tarballProgram(t, "linux-"+arch), arch)
	}
	for arch, machine := range map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64} {
		program, err := macho.NewFile(strings.NewReader(tarballProgram(t, "darwin-"+arch)))
		if err != nil {
			t.Fatal(err)
		}
		if program.Cpu != machine {
			t.Errorf("darwin-%s is for %s", arch, program.Cpu)
		}
	}
	program := filepath.Join(t.TempDir(), "orasfs")
	if err := os.WriteFile(program, []byte(tarballProgram(t, "linux-"+runtime.GOARCH)), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := run(t, program, "version"); got != programVersion(version) {
		t.Errorf("orasfs version prints %q", got)
	}
}
