//go:build linux

package main

import (
	"cmp"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// objects are those of a few manifests, by kind.
type objects struct {
	drivers    []*storagev1.CSIDriver
	daemons    []*appsv1.DaemonSet
	accounts   []*corev1.ServiceAccount
	pods       []*corev1.Pod
	secrets    []*corev1.Secret
	persistent []*corev1.PersistentVolume
	claims     []*corev1.PersistentVolumeClaim
}

// betweenDocuments is what separates those of YAML.
var betweenDocuments = regexp.MustCompile(`(?m)^---$`)

// readObjects reads manifests as Kubernetes does which checks them: a field that it
// doesn't know, or that is there twice, is an error.
func readObjects(t *testing.T, manifests string) objects {
	t.Helper()
	var all objects
	for _, document := range betweenDocuments.Split(manifests, -1) {
		var is metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &is); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		var err error
		switch is.APIVersion + " " + is.Kind {
		case " ": // comments alone
		case "storage.k8s.io/v1 CSIDriver":
			all.drivers, err = readObject(all.drivers, document)
		case "apps/v1 DaemonSet":
			all.daemons, err = readObject(all.daemons, document)
		case "v1 ServiceAccount":
			all.accounts, err = readObject(all.accounts, document)
		case "v1 Pod":
			all.pods, err = readObject(all.pods, document)
		case "v1 Secret":
			all.secrets, err = readObject(all.secrets, document)
		case "v1 PersistentVolume":
			all.persistent, err = readObject(all.persistent, document)
		case "v1 PersistentVolumeClaim":
			all.claims, err = readObject(all.claims, document)
		default:
			t.Errorf("what is a %s of %s?", is.Kind, is.APIVersion)
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
	return all
}

// readObject adds the one of a document.
func readObject[T any](to []*T, document string) ([]*T, error) {
	one := new(T)
	err := yaml.UnmarshalStrict([]byte(document), one)
	return append(to, one), err
}

// installing are the objects of what installs the driver: one of each kind.
func installing(t *testing.T, manifests string) objects {
	t.Helper()
	all := readObjects(t, manifests)
	if len(all.drivers) != 1 || len(all.daemons) != 1 || len(all.accounts) != 1 || len(all.pods)+len(all.secrets)+len(all.persistent)+len(all.claims) > 0 {
		t.Fatalf("not one of each in\n%s", manifests)
	}
	return all
}

// tool is a pinned program. Without it the test is skipped, but not where somebody has
// said that it is there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(cmp.Or(os.Getenv("ORASFS_TEST_TOOLS"), "../../.tools/bin"), name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("ORASFS_TEST_TOOLS") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v: scripts/test installs it", err)
	}
	return path
}

// dependOn has go test know the files that a test is about and which only another program
// reads: it would take the result of a run before they changed.
func dependOn(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d iofs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			_, err = os.ReadFile(path) //nolint:gosec // ours
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kustomized are the manifests of the kustomization.
func kustomized(t *testing.T) string {
	t.Helper()
	dependOn(t, "deploy/kustomize")
	out, err := exec.CommandContext(t.Context(), tool(t, "kustomize"), "build", "deploy/kustomize").CombinedOutput() //nolint:gosec // ours
	if err != nil {
		t.Fatalf("kustomize: %v\n%s", err, out)
	}
	return string(out)
}

// helm runs helm, without anything of whoever runs the test.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	dependOn(t, "deploy/chart")
	cmd := exec.CommandContext(t.Context(), tool(t, "helm"), args...) //nolint:gosec // ours
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	return string(out) + stderr.String(), err
}

// charted are the manifests of the chart, with values set.
func charted(t *testing.T, values ...string) string {
	t.Helper()
	args := []string{"template", "its-release", "deploy/chart", "--namespace", "kube-system"}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	out, err := helm(t, args...)
	if err != nil {
		t.Fatalf("helm: %v\n%s", err, out)
	}
	return out
}
