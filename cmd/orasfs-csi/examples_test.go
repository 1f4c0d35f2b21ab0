//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestExamples reads the examples as a cluster and the driver do.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("deploy/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the examples are %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			manifests, err := os.ReadFile(file) //nolint:gosec // ours
			if err != nil {
				t.Fatal(err)
			}
			all := readObjects(t, string(manifests))
			if len(all.pods) == 0 {
				t.Fatal("there is no pod")
			}
			for _, pod := range all.pods {
				checkVolumes(t, &pod.Spec)
				for _, v := range pod.Spec.Volumes {
					checkVolume(t, &all, v)
				}
				for _, c := range pod.Spec.Containers {
					for _, m := range c.VolumeMounts {
						if !m.ReadOnly {
							t.Errorf("%s isn't mounted as what can be read alone", m.Name)
						}
					}
				}
			}
		})
	}
}

// checkVolume has the driver read a volume's attributes and its secret as kubelet gives
// them.
func checkVolume(t *testing.T, all *objects, v corev1.Volume) {
	t.Helper()
	if inline := v.CSI; inline != nil {
		if inline.Driver != driverName || inline.ReadOnly == nil || !*inline.ReadOnly {
			t.Errorf("%s isn't a volume of the driver to be read: %+v", v.Name, inline)
		}
		given := map[string]string{isEphemeral: "true"}
		for name, value := range inline.VolumeAttributes {
			given[name] = value
		}
		if _, err := parseWants(given, "csi-0123", nil, ""); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		return
	}
	volume := claimed(t, all, v.PersistentVolumeClaim)
	persistent := volume.Spec.CSI
	if persistent.Driver != driverName || !persistent.ReadOnly {
		t.Errorf("%s isn't a volume of the driver to be read: %+v", volume.Name, persistent)
	}
	if _, err := parseWants(persistent.VolumeAttributes, persistent.VolumeHandle, volume.Spec.MountOptions, ""); err != nil {
		t.Errorf("%s: %v", volume.Name, err)
	}
	for _, secret := range all.secrets {
		config, err := registryConfig(secret.StringData)
		if ref := persistent.NodePublishSecretRef; err != nil || len(config) < len(`{"auths":{"":{}}}`) || ref.Name != secret.Name || ref.Namespace != secret.Namespace {
			t.Errorf("the secret %s gives %s, %v, and the volume has that of %+v", secret.Name, config, err, ref)
		}
	}
}

// claimed is the volume that a claim gets: both name each other, and want the same.
func claimed(t *testing.T, all *objects, source *corev1.PersistentVolumeClaimVolumeSource) *corev1.PersistentVolume {
	t.Helper()
	if source == nil || len(all.claims) != 1 || len(all.persistent) != 1 {
		t.Fatalf("a pod has %+v of %d claims and %d volumes", source, len(all.claims), len(all.persistent))
	}
	claim, volume := all.claims[0], all.persistent[0]
	if source.ClaimName != claim.Name || !source.ReadOnly || claim.Spec.VolumeName != volume.Name ||
		volume.Spec.ClaimRef.Name != claim.Name || volume.Spec.ClaimRef.Namespace != claim.Namespace ||
		volume.Spec.StorageClassName != *claim.Spec.StorageClassName || volume.Spec.AccessModes[0] != claim.Spec.AccessModes[0] {
		t.Errorf("the claim %+v doesn't get the volume %+v", claim.Spec, volume.Spec)
	}
	return volume
}
