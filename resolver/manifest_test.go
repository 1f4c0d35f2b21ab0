package resolver

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

const (
	typeManifest = ocispec.MediaTypeImageManifest
	typeIndex    = ocispec.MediaTypeImageIndex
)

func parse(mediaType, content string) (*Manifest, error) {
	return ParseManifest(digest.FromString(content), mediaType, []byte(content))
}

// descriptor is one as JSON, with further fields.
func descriptor(mediaType string, fields ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":12%s}`, mediaType, sha256Digest, strings.Join(append([]string{""}, fields...), ","))
}

func TestParseManifest(t *testing.T) {
	config := descriptor("application/vnd.example.config")
	layer := descriptor("text/plain", `"annotations":{"org.opencontainers.image.title":"artifact.txt"}`)
	tests := []struct {
		name, mediaType, content string
		want                     Manifest // of these fields
		layers, manifests        int
	}{
		{
			name: "OCI manifest", mediaType: typeManifest,
			content: `{"schemaVersion":2,"mediaType":"` + typeManifest + `","artifactType":"application/x","config":` + config +
				`,"layers":[` + layer + `],"subject":` + config + `,"annotations":{"a":"b"},"unknown":[1]}`,
			want: Manifest{MediaType: typeManifest, ArtifactType: "application/x"}, layers: 1,
		}, {
			name: "Helm chart, without mediaType", mediaType: typeManifest,
			content: `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`,
			want:    Manifest{MediaType: typeManifest, ArtifactType: "application/vnd.example.config"}, layers: 1,
		}, {
			name: "Docker manifest", mediaType: mediaTypeDockerManifest,
			content: `{"schemaVersion":2,"mediaType":"` + mediaTypeDockerManifest + `","config":` + descriptor(mediaTypeDockerConfig) + `,"layers":[]}`,
			want:    Manifest{MediaType: mediaTypeDockerManifest, ArtifactType: mediaTypeDockerConfig},
		}, {
			name: "Docker's under OCI's type", mediaType: typeManifest,
			content: `{"schemaVersion":2,"mediaType":"` + mediaTypeDockerManifest + `","config":` + config + `,"layers":[]}`,
			want:    Manifest{MediaType: mediaTypeDockerManifest, ArtifactType: "application/vnd.example.config"},
		}, {
			name: "text/plain", mediaType: "text/plain",
			content: `{"schemaVersion":2,"config":` + config + `,"layers":[]}`,
			want:    Manifest{MediaType: typeManifest, ArtifactType: "application/vnd.example.config"},
		}, {
			name: "OCI index", mediaType: typeIndex,
			content: `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[` + descriptor(typeManifest, `"platform":{"os":"linux","architecture":"arm","variant":"v7"}`) + `]}`,
			want:    Manifest{MediaType: typeIndex}, manifests: 1,
		}, {
			name: "index with artifactType", mediaType: typeIndex,
			content: `{"schemaVersion":2,"artifactType":"application/x","manifests":[]}`,
			want:    Manifest{MediaType: typeIndex, ArtifactType: "application/x"},
		}, {
			name: "index of null", mediaType: typeIndex,
			content: `{"schemaVersion":2,"manifests":null}`,
			want:    Manifest{MediaType: typeIndex},
		}, {
			name: "Docker list", mediaType: mediaTypeDockerList,
			content: `{"schemaVersion":2,"manifests":[` + descriptor(mediaTypeDockerManifest) + `]}`,
			want:    Manifest{MediaType: mediaTypeDockerList}, manifests: 1,
		}, {
			name: "artifact manifest", mediaType: mediaTypeArtifactManifest,
			content: `{"mediaType":"` + mediaTypeArtifactManifest + `","artifactType":"application/x","blobs":[` + layer + `,` + layer + `]}`,
			want:    Manifest{MediaType: mediaTypeArtifactManifest, ArtifactType: "application/x"}, layers: 2,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := parse(test.mediaType, test.content)
			if err != nil {
				t.Fatal(err)
			}
			if m.MediaType != test.want.MediaType || m.ArtifactType != test.want.ArtifactType {
				t.Errorf("media type %q, artifact type %q; want %q, %q", m.MediaType, m.ArtifactType, test.want.MediaType, test.want.ArtifactType)
			}
			if len(m.Layers) != test.layers || len(m.Manifests) != test.manifests {
				t.Errorf("%d layers, %d manifests", len(m.Layers), len(m.Manifests))
			}
			if m.IsIndex() != (test.want.MediaType == typeIndex || test.want.MediaType == mediaTypeDockerList) {
				t.Errorf("IsIndex is %v", m.IsIndex())
			}
			if string(m.Content) != test.content || m.Size != int64(len(test.content)) || m.Digest != digest.FromString(test.content) {
				t.Errorf("content %q, size %d, digest %s", m.Content, m.Size, m.Digest)
			}
		})
	}
}

func TestParseManifestKeepsWhatDescriptorsSay(t *testing.T) {
	m, err := parse(typeManifest, `{"schemaVersion":2,"config":`+descriptor("application/c")+`,"layers":[`+
		descriptor("text/plain", `"annotations":{"org.opencontainers.image.title":"artifact.txt"}`)+
		`],"subject":`+descriptor(typeIndex)+`,"annotations":{"a":"1","a":"2"}}`)
	if err != nil {
		t.Fatal(err)
	}
	layer := m.Layers[0]
	if layer.Digest != sha256Digest || layer.Size != 12 || layer.MediaType != "text/plain" ||
		layer.Annotations[ocispec.AnnotationTitle] != "artifact.txt" {
		t.Errorf("layer %+v", layer)
	}
	if m.Config.MediaType != "application/c" || m.Subject.MediaType != typeIndex {
		t.Errorf("config %+v, subject %+v", m.Config, m.Subject)
	}
	if len(m.Annotations) != 1 || m.Annotations["a"] != "2" {
		t.Errorf("annotations %v", m.Annotations)
	}
}

func TestParseManifestThatIsNone(t *testing.T) {
	layers := func(descriptors ...string) string {
		return `{"schemaVersion":2,"config":` + descriptor("c") + `,"layers":[` + strings.Join(descriptors, ",") + `]}`
	}
	good := descriptor("text/plain")
	tests := []struct {
		name, mediaType, content string
		says                     string
	}{
		{"empty", typeManifest, ``, "JSON"},
		{"not JSON", typeManifest, `<html>`, "invalid character"},
		{"null", typeManifest, `null`, "schema version"},
		{"array", typeManifest, `[]`, "array"},
		{"two documents", typeManifest, layers() + layers(), "after top-level value"},
		{"index under a manifest's type", typeManifest, `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[]}`, typeIndex},
		{"manifest under an index's type", typeIndex, layers(), "fields"},
		{"index without mediaType under a manifest's type", typeManifest, `{"schemaVersion":2,"manifests":[]}`, "fields"},
		{"both", typeManifest, `{"schemaVersion":2,"layers":[],"manifests":[]}`, "fields"},
		{"both, by shape", "text/plain", `{"schemaVersion":2,"layers":[],"manifests":[]}`, "fields"},
		{"foreign mediaType", typeManifest, `{"schemaVersion":2,"mediaType":"application/x","layers":[]}`, "application/x"},
		{"schema version 3", typeManifest, `{"schemaVersion":3,"layers":[]}`, "3"},
		{"layers are an object", typeManifest, `{"schemaVersion":2,"layers":{}}`, "array"},
		{"layer is a string", typeManifest, layers(good, `"x"`), "descriptor 1"},
		{"layer without digest", typeManifest, layers(good, good, `{}`), "layer 2"},
		{"digest climbs", typeManifest, layers(`{"digest":"sha256:../../x","size":1}`), "layer 0"},
		{"digest of upper case", typeManifest, layers(strings.ToUpper(good)), "layer 0"},
		{"digest of another algorithm", typeManifest, layers(`{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":0}`), "layer 0"},
		{"negative size", typeManifest, layers(good, strings.Replace(good, "12", "-1", 1)), "layer 1"},
		{"size that overflows", typeManifest, layers(strings.Replace(good, "12", "9223372036854775808", 1)), "descriptor 0"},
		{"bad config", typeManifest, `{"schemaVersion":2,"config":{"digest":"x","size":1},"layers":[]}`, "config"},
		{"bad subject", typeManifest, `{"schemaVersion":2,"subject":{"size":-1},"layers":[]}`, "subject"},
		{"bad manifest", typeIndex, `{"schemaVersion":2,"manifests":[` + good + `,{}]}`, "manifest 1"},
		{"bad blob", mediaTypeArtifactManifest, `{"blobs":[{}]}`, "blob 0"},
		{"annotations of numbers", typeManifest, `{"schemaVersion":2,"layers":[],"annotations":{"a":1}}`, "annotations"},
	}
	for _, test := range tests {
		m, err := parse(test.mediaType, test.content)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %+v, error %v; want one that says %q", test.name, m, err, test.says)
		}
	}
}

func TestParseManifestUnsupported(t *testing.T) {
	for mediaType, content := range map[string]string{
		mediaTypeDockerSchema1JWS:      `{"schemaVersion":1,"fsLayers":[]}`,
		mediaTypeDockerSchema1:         `{"schemaVersion":1}`,
		"application/json":             `{"schemaVersion":1,"fsLayers":[]}`,
		"text/plain":                   `hello`,
		"application/vnd.example+json": `{"schemaVersion":2,"layers":[]}`,
		typeManifest:                   `{"schemaVersion":1}`,
		"":                             ``,
	} {
		_, err := parse(mediaType, content)
		if !errors.Is(err, errdef.ErrUnsupported) {
			t.Errorf("%q: error %v", mediaType, err)
		}
	}
}

func TestParseManifestIsBounded(t *testing.T) {
	list := func(n int) string { return strings.Repeat(descriptor("x")+",", n-1) + descriptor("x") }
	if m, err := parse(typeIndex, `{"schemaVersion":2,"manifests":[`+list(maxDescriptors)+`]}`); err != nil || len(m.Manifests) != maxDescriptors {
		t.Errorf("as many descriptors as there may be: %v", err)
	}
	var annotations strings.Builder
	for i := range maxAnnotations + 1 {
		fmt.Fprintf(&annotations, `"%d":"",`, i)
	}
	for name, content := range map[string]string{
		"descriptors":                `{"schemaVersion":2,"manifests":[` + list(maxDescriptors+1) + `]}`,
		"empty":                      `{"schemaVersion":2,"manifests":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`,
		"values":                     `{"schemaVersion":2,"x":[` + strings.Repeat(`0,`, maxElements) + `0]}`,
		"annotations":                `{"schemaVersion":2,"manifests":[],"annotations":{` + annotations.String() + `"x":""}}`,
		"annotations of descriptors": `{"schemaVersion":2,"manifests":[` + descriptor("x", `"annotations":{`+annotations.String()+`"x":""}`) + `]}`,
		"bytes":                      `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", MaxManifest),
	} {
		if _, err := parse(typeIndex, content); !errors.Is(err, errdef.ErrSizeExceedsLimit) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestParseManifestData(t *testing.T) {
	empty := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + ocispec.DescriptorEmptyJSON.Digest.String() + `","size":%d,"data":"%s"}`
	braces := base64.StdEncoding.EncodeToString([]byte("{}"))
	other := base64.StdEncoding.EncodeToString([]byte("[]"))
	for _, test := range []struct {
		size int
		data string
		want []byte
	}{
		{2, braces, []byte("{}")},
		{3, braces, nil},
		{2, other, nil},
		{2, "", nil},
	} {
		d := fmt.Sprintf(empty, test.size, test.data)
		m, err := parse(typeManifest, `{"schemaVersion":2,"config":`+d+`,"layers":[`+d+`],"subject":`+d+`}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, desc := range []ocispec.Descriptor{*m.Config, m.Layers[0], *m.Subject} {
			if !bytes.Equal(desc.Data, test.want) {
				t.Errorf("size %d, data %q: %q", test.size, test.data, desc.Data)
			}
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	config, layer := descriptor("application/vnd.example.config", `"data":"e30="`), descriptor("text/plain", `"annotations":{"a":"b"}`)
	for _, content := range []string{
		`{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `],"subject":` + config + `}`,
		`{"schemaVersion":2,"manifests":[` + layer + `]}`,
		`{"blobs":[` + layer + `]}`,
		`{"schemaVersion":1}`,
		`{"manifests":null,"layers":{}}`,
		`null`, `[`, ``,
	} {
		for _, mediaType := range []string{typeManifest, typeIndex, mediaTypeDockerManifest, mediaTypeArtifactManifest, "text/plain"} {
			f.Add(mediaType, []byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, mediaType string, content []byte) {
		m, err := ParseManifest(digest.FromBytes(content), mediaType, content)
		if err != nil {
			return
		}
		if k := kindOf(m.MediaType); k == kindUnknown || k == kindSchema1 {
			t.Fatalf("media type %q", m.MediaType)
		}
		if m.IsIndex() && (m.Config != nil || m.Layers != nil) || !m.IsIndex() && m.Manifests != nil {
			t.Fatalf("two kinds in one: %+v", m)
		}
		all := append(append([]ocispec.Descriptor{}, m.Layers...), m.Manifests...)
		for _, desc := range []*ocispec.Descriptor{m.Config, m.Subject} {
			if desc != nil {
				all = append(all, *desc)
			}
		}
		for _, desc := range all {
			if checkDigest(desc.Digest) != nil || desc.Size < 0 || (desc.Data != nil && !embedded(desc)) {
				t.Fatalf("descriptor %+v", desc)
			}
		}
	})
}
