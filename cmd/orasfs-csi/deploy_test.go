//go:build linux

package main

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"
)

// everyValue sets all values of the chart that make it have more than it has without.
var everyValue = []string{
	"image.repository=registry.example.com/csi", "image.tag=v1", "image.pullPolicy=Always", "imagePullSecrets[0].name=pull",
	"runner=child", "stateDir=/srv/state", "cacheDir=/srv/cache", "cacheSize=1GiB", "memory=128MiB", "timeout=1m30s",
	"hostsDir=/etc/cri/hosts", "registryConfig=/etc/orasfs/config.json", "caFile=/etc/pki/ca.pem",
	"verifyKeys={/etc/orasfs/a.pub,/etc/keys_of/b.pub}", "verifierDir=/etc/orasfs/verifiers",
	"kubeletDir=/srv/kubelet", "livenessProbe.port=1234", "nodeSelector.disk=fast", "extraArgs={--verbose}",
	"env[0].name=HTTPS_PROXY", "env[0].value=http://proxy:3128",
}

// TestInstallations looks at what installs the driver as a cluster and the driver do.
func TestInstallations(t *testing.T) {
	for name, manifests := range map[string]string{
		"kustomization":          kustomized(t),
		"chart":                  charted(t),
		"chart with each value":  charted(t, everyValue...),
		"chart with each, on it": charted(t, append(everyValue, "runner=systemd", "tolerations=null")...),
	} {
		t.Run(name, func(t *testing.T) {
			all := installing(t, manifests)
			checkCSIDriver(t, all.drivers[0])
			daemon := all.daemons[0]
			account := all.accounts[0]
			pod := daemon.Spec.Template.Spec
			if daemon.Namespace != "kube-system" || account.Namespace != daemon.Namespace || pod.ServiceAccountName != account.Name {
				t.Errorf("%s/%s runs as %s, which is in %s", daemon.Namespace, daemon.Name, pod.ServiceAccountName, account.Namespace)
			}
			if *pod.AutomountServiceAccountToken || *account.AutomountServiceAccountToken {
				t.Error("a token is mounted that nobody needs")
			}
			if selects, has := daemon.Spec.Selector.MatchLabels, daemon.Spec.Template.Labels; !contains(has, selects) {
				t.Errorf("%v are selected, and pods have %v", selects, has)
			}
			checkVolumes(t, &pod)
			checkDriverContainer(t, daemon)
			checkSidecars(t, &pod)
		})
	}
}

// contains says whether labels have all of others.
func contains(labels, others map[string]string) bool {
	for name, value := range others {
		if labels[name] != value {
			return false
		}
	}
	return true
}

func checkCSIDriver(t *testing.T, d *storagev1.CSIDriver) {
	t.Helper()
	if d.Name != driverName {
		t.Errorf("the driver %s is announced as %s", driverName, d.Name)
	}
	no, yes, none := false, true, storagev1.NoneFSGroupPolicy
	want := storagev1.CSIDriverSpec{
		AttachRequired: &no, PodInfoOnMount: &yes, RequiresRepublish: &yes, FSGroupPolicy: &none,
		VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral},
	}
	if !reflect.DeepEqual(d.Spec, want) {
		t.Errorf("the driver is announced with %+v", d.Spec)
	}
}

// checkVolumes sees that each mount of a pod's containers is of one of its volumes, and
// each volume mounted.
func checkVolumes(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	var have, mounted []string
	for _, v := range pod.Volumes {
		have = append(have, v.Name)
	}
	for _, c := range pod.Containers {
		var paths []string
		for _, m := range c.VolumeMounts {
			mounted, paths = append(mounted, m.Name), append(paths, m.MountPath)
			if m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional && (c.SecurityContext == nil || !*c.SecurityContext.Privileged) {
				t.Errorf("%s has %s mounted in both directions and isn't privileged", c.Name, m.Name)
			}
		}
		if slices.Sort(paths); len(slices.Compact(paths)) < len(c.VolumeMounts) {
			t.Errorf("%s has two mounts at one path: %q", c.Name, paths)
		}
	}
	slices.Sort(have)
	slices.Sort(mounted)
	if mounted = slices.Compact(mounted); !slices.Equal(have, mounted) {
		t.Errorf("there are the volumes %q, mounted are %q", have, mounted)
	}
}

// checkDriverContainer sees that the driver knows its flags, and that what they name is
// in its container at the path that it has on the node.
func checkDriverContainer(t *testing.T, daemon *appsv1.DaemonSet) {
	t.Helper()
	pod := daemon.Spec.Template.Spec
	c := pod.Containers[0]
	cmd := newCommand()
	if err := cmd.ParseFlags(c.Args); err != nil {
		t.Fatal(err)
	}
	flag := func(name string) string { return cmd.Flag(name).Value.String() }
	files, _ := cmd.Flags().GetStringArray("verify-key")
	for _, name := range []string{"state-dir", "cache-dir", "hosts-dir", "verifier-dir", "registry-config", "ca-file"} {
		files = append(files, flag(name))
	}
	for _, path := range files {
		if _, ok := onNode(&pod, &c, path, ""); path != "" && !ok {
			t.Errorf("%s of the node isn't in the driver's container, or elsewhere", path)
		}
	}
	kubelet := strings.TrimSuffix(kubeletPlugins(&pod), "/plugins/"+driverName)
	for _, path := range []string{flag("state-dir"), kubelet + "/pods"} {
		if _, ok := onNode(&pod, &c, path, corev1.MountPropagationBidirectional); !ok {
			t.Errorf("what the driver mounts in %s isn't seen outside", path)
		}
	}
	if flag("endpoint") != "unix:///csi/csi.sock" || flag("node-id") != "$(NODE_NAME)" || c.Env[0].Name != "NODE_NAME" || c.Env[0].ValueFrom.FieldRef.FieldPath != "spec.nodeName" {
		t.Errorf("the driver is called at %s as %s", flag("endpoint"), flag("node-id"))
	}
	_, bus := onNode(&pod, &c, "/run/systemd/private", "")
	shared := pod.ShareProcessNamespace != nil && *pod.ShareProcessNamespace
	child := flag("runner") == runnerChild
	if bus == child || shared != child || (daemon.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType) != child {
		t.Errorf("with the runner %s: the socket of systemd %v, processes shared %v, updates %s", flag("runner"), bus, shared, daemon.Spec.UpdateStrategy.Type)
	}
}

// kubeletPlugins is where kubelet looks for the driver's socket.
func kubeletPlugins(pod *corev1.PodSpec) string {
	for _, v := range pod.Volumes {
		if v.Name == "plugin" {
			return v.HostPath.Path
		}
	}
	return ""
}

// onNode is the volume by which a container has a path as the node has it, with a
// propagation unless that is "".
func onNode(pod *corev1.PodSpec, c *corev1.Container, path string, propagation corev1.MountPropagationMode) (string, bool) {
	for _, m := range c.VolumeMounts {
		at := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if at < 0 || pod.Volumes[at].HostPath.Path != m.MountPath || !within(path, m.MountPath) {
			continue
		}
		if propagation == "" || m.MountPropagation != nil && *m.MountPropagation == propagation {
			return m.Name, true
		}
	}
	return "", false
}

// within says whether a path is a directory, or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// checkSidecars sees that kubelet is told of the socket that the driver makes, and that
// it asks where the driver's health is told.
func checkSidecars(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	driver, registrar, health := pod.Containers[0], pod.Containers[1], pod.Containers[2]
	if want := "--kubelet-registration-path=" + filepath.Join(kubeletPlugins(pod), "csi.sock"); !slices.Contains(registrar.Args, want) {
		t.Errorf("the registrar has %q, not %s", registrar.Args, want)
	}
	if !strings.HasSuffix(kubeletPlugins(pod), "/plugins/"+driverName) {
		t.Errorf("the socket is in %s", kubeletPlugins(pod))
	}
	asked := driver.LivenessProbe.HTTPGet
	if want := "--http-endpoint=" + asked.Host + ":" + asked.Port.String(); !slices.Contains(health.Args, want) || !pod.HostNetwork {
		t.Errorf("health is told with %q, not %s", health.Args, want)
	}
	for _, c := range pod.Containers[1:] {
		if s := c.SecurityContext; s.Privileged != nil || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s may do more than it needs: %+v", c.Name, s)
		}
	}
}

// TestChartIsTheKustomization compares what both have, but for labels that charts have.
func TestChartIsTheKustomization(t *testing.T) {
	chart, kustomization := installing(t, charted(t)), installing(t, kustomized(t))
	for _, labels := range []map[string]string{chart.drivers[0].Labels, chart.daemons[0].Labels, chart.accounts[0].Labels} {
		maps.DeleteFunc(labels, func(name, _ string) bool { return name != "app.kubernetes.io/name" })
	}
	if !reflect.DeepEqual(chart, kustomization) {
		t.Errorf("the chart has\n%s\nand the kustomization\n%s", asYAML(t, chart), asYAML(t, kustomization))
	}
}

func asYAML(t *testing.T, all objects) string {
	t.Helper()
	var text strings.Builder
	for _, object := range []any{all.drivers[0], all.accounts[0], all.daemons[0]} {
		out, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(out)
	}
	return text.String()
}

// TestChart has helm check the chart, and it refuse values that can't be meant.
func TestChart(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", "deploy/chart"); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
	for _, value := range []string{
		"runner=docker", "runnner=child", "stateDir=state", "hostsDir=", "registryConfig=/config.json", "verifyKeys={a.pub}",
		"timeout=30", "cacheSize=lots", "livenessProbe.port=http", "image.pullPolicy=Sometimes", "extraArgs={verbose}",
	} {
		out, err := helm(t, "template", "its-release", "deploy/chart", "--set", value)
		if name, _, _ := strings.Cut(value, "="); err == nil || !strings.Contains(out, strings.Split(name, ".")[0]) {
			t.Errorf("--set %s: %v\n%.300s", value, err, out)
		}
	}
}
