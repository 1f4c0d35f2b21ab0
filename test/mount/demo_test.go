package mount

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demo is the demo's command, with a directory of its own for what is
// temporary.
func demo(t *testing.T, args ...string) (cmd *exec.Cmd, temporary string) {
	t.Helper()
	temporary = t.TempDir()
	cmd = exec.Command(filepath.Join("..", "..", "scripts", "demo"), args...)
	cmd.Env = environment("TMPDIR="+temporary, "GOTMPDIR="+t.TempDir())
	t.Cleanup(func() { nothingIn(t, temporary) })
	return cmd, temporary
}

// nothingIn fails the test if a mount, a process or a file is left of what was
// in a directory.
func nothingIn(t *testing.T, dir string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(table), dir) {
		t.Errorf("a mount is left in %s", dir)
	}
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if path, err := os.Readlink(program); err == nil && strings.HasPrefix(path, dir) {
			t.Errorf("a process is left: %s is %s", program, path)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files are left in %s: %v %v", dir, left, err)
	}
}

// shown is what the demo has to show, in this order.
var shown = []string{
	"$ orasfs mount localhost:",
	"$ ls oci", "charts", "hello", "library", "team",
	"$ readlink oci/hello/_tags/v1", "../_manifests/sha256/",
	"$ ls oci/hello/_tags/v1/", "config.json\nfiles\nlayers\nlayout\nlayout.tar\nmanifest.json\nreferrers\n",
	"$ cat oci/hello/_tags/v1/manifest.json", `"artifactType":"application/vnd.example.greeting.v1"`,
	"$ cat oci/hello:v1/files/greeting.txt\nhello world\n",
	"$ find oci/team/site:v2/files/", "oci/team/site:v2/files/docs/readme.md\n",
	"$ getfattr -d oci/hello:v1/", `user.org.opencontainers.image.description="a greeting"`,
	"$ getfattr -d oci/hello:v1/files/greeting.txt", `user.org.example.language="en"`,
	"$ ls -lh oci/team/models/tiny:2025.06/files/", "64M Jun  1  2025 weights.bin",
	"$ tail -c 16",
	"$ readlink oci/library/base/_tags/1.0 oci/library/base/_tags/latest",
	"$ cat oci/library/base:latest/rootfs/etc/os-release\nNAME=demo\n",
	"$ ls oci/team/server:1.4/ oci/team/server:1.4/platforms\noci/team/server:1.4/:\nconfig.json\n", "platforms\n", "referrers\nrootfs\n",
	"oci/team/server:1.4/platforms:\nlinux-amd64\nlinux-arm64\n",
	"$ readlink oci/team/server:1.4/rootfs\nplatforms/linux-" + runtime.GOARCH + "/rootfs\n",
	"$ cat oci/team/server:1.4/rootfs/etc/motd\nbuilt for linux on " + runtime.GOARCH + "\n",
	"$ find oci/team/server:1.4/referrers/", "oci/team/server:1.4/referrers/application/spdx+json\n",
	"$ cat oci/team/server:1.4/referrers/application/spdx+json/*/files/sbom.spdx.json", `"spdxVersion"`,
	"$ ls oci/charts/web:0.1.0/files\nweb\nweb-0.1.0.tgz\n",
	"$ cat oci/charts/web:0.1.0/files/web/Chart.yaml", "name: web\n",
}

func checkShown(t *testing.T, printed string) {
	t.Helper()
	rest := printed
	for _, want := range shown {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the demo doesn't show %q at its place:\n%s", want, printed)
		}
		rest = after
	}
}

// TestDemo runs the demo of the README to its end.
func TestDemo(t *testing.T) {
	t.Parallel()
	cmd, _ := demo(t, "--once")
	r := finish(t, cmd)
	if r.code != 0 || r.stderr != "" {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	checkShown(t, r.stdout)
}

// TestDemoEnds leaves the demo's mount up, looks into it, and ends it as
// Ctrl-C and kill do, once while somebody stands in the mount.
func TestDemoEnds(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			cmd, temporary := demo(t)
			out := filepath.Join(t.TempDir(), "out")
			file, err := os.Create(out)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close() //nolint:errcheck // the demo writes it
			cmd.Stdout = file
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			p := start(t, cmd)
			t.Cleanup(func() { // it cleans up, unless it is killed
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it has ended, or a test failed
				select {
				case <-p.ended:
				case <-time.After(10 * time.Second):
				}
			})
			var printed string
			eventually(t, "the demo waits", func() bool {
				content, err := os.ReadFile(out)
				printed = string(content)
				return err == nil && strings.Contains(printed, "Press Ctrl-C") || ended(p)
			})
			checkShown(t, printed)
			if greeting := output(t, "sh", "-c", `cat "$0"/orasfs-demo-*/oci/hello:v1/files/greeting.txt`, temporary); greeting != "hello world\n" {
				t.Errorf("the mount that the demo leaves up holds %q", greeting)
			}
			if signal == syscall.SIGTERM {
				dirs, err := filepath.Glob(temporary + "/orasfs-demo-*")
				if err != nil || len(dirs) != 1 {
					t.Fatal(dirs, err)
				}
				shellIn(t, dirs[0]+"/oci/hello")
			}
			// A terminal signals the whole group.
			if err := syscall.Kill(-cmd.Process.Pid, signal); err != nil {
				t.Fatal(err)
			}
			p.wait(t)
			if p.stderr.Len() != 0 {
				t.Errorf("it says\n%s", p.stderr.String())
			}
		})
	}
}

// ended tells whether a process has ended.
func ended(p *process) bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
