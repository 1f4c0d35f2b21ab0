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

func parse(content string) (*Manifest, error) {
	return ParseManifest(digest.FromString(content), []byte(content))
}

// descriptor is one as JSON, with further fields.
func descriptor(mediaType string, fields ...string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":12%s}`, mediaType, sha256Digest, strings.Join(append([]string{""}, fields...), ","))
}

func TestParseManifest(t *testing.T) {
	config := descriptor("application/vnd.example.config")
	layer := descriptor("text/plain", `"annotations":{"org.opencontainers.image.title":"artifact.txt"}`)
	tests := []struct {
		name, content     string
		want              Manifest // of these fields
		layers, manifests int
	}{
		{
			name: "OCI manifest",
			content: `{"schemaVersion":2,"mediaType":"` + typeManifest + `","artifactType":"application/x","config":` + config +
				`,"layers":[` + layer + `],"subject":` + config + `,"annotations":{"a":"b"},"unknown":[1]}`,
			want: Manifest{MediaType: typeManifest, ArtifactType: "application/x"}, layers: 1,
		}, {
			name:    "Helm chart, without mediaType",
			content: `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`,
			want:    Manifest{MediaType: typeManifest, ArtifactType: "application/vnd.example.config"}, layers: 1,
		}, {
			name:    "Docker manifest",
			content: `{"schemaVersion":2,"mediaType":"` + mediaTypeDockerManifest + `","config":` + descriptor(mediaTypeDockerConfig) + `,"layers":[]}`,
			want:    Manifest{MediaType: mediaTypeDockerManifest, ArtifactType: mediaTypeDockerConfig},
		}, {
			name:    "no version",
			content: `{"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[` + layer + `]}`,
			want:    Manifest{MediaType: typeManifest, ArtifactType: "application/vnd.example.config"}, layers: 1,
		}, {
			name:    "a media type in other letters",
			content: `{"schemaVersion":2,"mediaType":"` + strings.ToUpper(typeManifest) + `; charset=utf-8","config":` + config + `,"layers":[]}`,
			want:    Manifest{MediaType: typeManifest, ArtifactType: "application/vnd.example.config"},
		}, {
			name:    "OCI index",
			content: `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[` + descriptor(typeManifest, `"platform":{"os":"linux","architecture":"arm","variant":"v7"}`) + `]}`,
			want:    Manifest{MediaType: typeIndex}, manifests: 1,
		}, {
			name:    "index with artifactType",
			content: `{"schemaVersion":2,"artifactType":"application/x","manifests":[]}`,
			want:    Manifest{MediaType: typeIndex, ArtifactType: "application/x"},
		}, {
			name:    "index of null",
			content: `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":null}`,
			want:    Manifest{MediaType: typeIndex},
		}, {
			name:    "Docker list",
			content: `{"schemaVersion":2,"mediaType":"` + mediaTypeDockerList + `","manifests":[` + descriptor(mediaTypeDockerManifest) + `]}`,
			want:    Manifest{MediaType: mediaTypeDockerList}, manifests: 1,
		}, {
			name:    "artifact manifest",
			content: `{"mediaType":"` + mediaTypeArtifactManifest + `","artifactType":"application/x","blobs":[` + layer + `,` + layer + `]}`,
			want:    Manifest{MediaType: mediaTypeArtifactManifest, ArtifactType: "application/x"}, layers: 2,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := parse(test.content)
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
	m, err := parse(`{"schemaVersion":2,"config":` + descriptor("application/c") + `,"layers":[` +
		descriptor("text/plain", `"annotations":{"org.opencontainers.image.title":"artifact.txt"}`) +
		`],"subject":` + descriptor(typeIndex) + `,"annotations":{"a":"1","a":"2"}}`)
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
	layers := `{"schemaVersion":2,"config":` + descriptor("c") + `,"layers":[]}`
	stated := func(mediaType, fields string) string {
		return `{"schemaVersion":2,"mediaType":"` + mediaType + `"` + fields + `}`
	}
	tests := []struct {
		name, content string
		says          string
	}{
		{"two kinds", stated(typeManifest, `,"layers":[],"manifests":[]`), "fields"},
		{"an index with layers", stated(typeIndex, `,"layers":[]`), "fields"},
		{"a manifest that lists", stated(typeManifest, `,"manifests":[]`), "fields"},
		{"schema version 3", `{"schemaVersion":3,"mediaType":"` + typeManifest + `"}`, "3"},
		{"layers are an object", stated(typeManifest, `,"layers":{}`), "array"},
		{"annotations of numbers", stated(typeManifest, `,"annotations":{"a":1}`), "annotations"},
		{"two documents", layers + layers, "unsupported"},
	}
	for _, test := range tests {
		m, err := parse(test.content)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %+v, error %v; want one that says %q", test.name, m, err, test.says)
		}
	}
}

// TestParseManifestLeavesOddPartsOut has one descriptor among others that is none.
func TestParseManifestLeavesOddPartsOut(t *testing.T) {
	good := descriptor("text/plain")
	for name, odd := range map[string]string{
		"a string":                  `"x"`,
		"null":                      `null`,
		"no digest":                 `{}`,
		"a digest that climbs":      `{"digest":"sha256:../../x","size":1}`,
		"a digest of upper case":    strings.ToUpper(good),
		"another algorithm":         `{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":0}`,
		"a negative size":           strings.Replace(good, "12", "-1", 1),
		"a size that overflows":     strings.Replace(good, "12", "9223372036854775808", 1),
		"a size that is a string":   strings.Replace(good, "12", `"12"`, 1),
		"annotations of numbers":    descriptor("text/plain", `"annotations":{"a":1}`),
		"a platform that is a list": descriptor("text/plain", `"platform":[]`),
	} {
		m, err := parse(`{"schemaVersion":2,"config":` + good + `,"layers":[` + good + `,` + odd + `,` + good + `],"subject":` + good + `}`)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(m.Layers) != 3 || m.Layers[0].Size != 12 || m.Layers[1].Digest != "" || m.Layers[2].Size != 12 {
			t.Errorf("%s: layers %+v", name, m.Layers)
		}
		if m.LeftOut == nil || !strings.HasPrefix(m.LeftOut.Error(), "layer 1: ") || strings.Contains(m.LeftOut.Error(), ";") {
			t.Errorf("%s: left out: %v", name, m.LeftOut)
		}
		if m.Config == nil || m.Subject == nil {
			t.Errorf("%s: config %+v, subject %+v", name, m.Config, m.Subject)
		}
		index, err := parse(`{"schemaVersion":2,"manifests":[` + odd + `,` + good + `]}`)
		if err != nil || len(index.Manifests) != 1 || index.Manifests[0].Size != 12 || !strings.HasPrefix(fmt.Sprint(index.LeftOut), "manifest 0: ") {
			t.Errorf("%s: index %+v, %v", name, index, err)
		}
		m, err = parse(`{"schemaVersion":2,"config":` + odd + `,"layers":[` + good + `],"subject":` + odd + `}`)
		if err != nil || m.Config != nil || m.Subject != nil || len(m.Layers) != 1 {
			t.Errorf("%s: config %+v, subject %+v, %v", name, m, m, err)
		}
	}
	m, err := parse(`{"mediaType":"` + mediaTypeArtifactManifest + `","blobs":[` + strings.Repeat("{},", 99) + good + `]}`)
	if err != nil || len(m.Layers) != 100 || m.Layers[99].Size != 12 || !strings.Contains(m.LeftOut.Error(), "blob 7: ") || !strings.HasSuffix(m.LeftOut.Error(), "; and 91 more") {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestParseManifestUnsupported(t *testing.T) {
	for _, content := range []string{
		`{"schemaVersion":1,"fsLayers":[]}`,
		`{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}`,
		`hello`, `<html>`, ``, `null`, `[]`,
		`{"schemaVersion":2,"mediaType":"application/vnd.example+json","layers":[]}`,
		`{"layers":[]}`,
		`{"schemaVersion":2,"layers":[],"manifests":[]}`,
	} {
		if _, err := parse(content); !errors.Is(err, errdef.ErrUnsupported) {
			t.Errorf("%q: error %v", content, err)
		}
	}
}

func TestParseManifestIsBounded(t *testing.T) {
	list := func(n int) string { return strings.Repeat(descriptor("x")+",", n-1) + descriptor("x") }
	if m, err := parse(`{"schemaVersion":2,"manifests":[` + list(maxDescriptors) + `]}`); err != nil || len(m.Manifests) != maxDescriptors {
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
		if _, err := parse(content); !errors.Is(err, errdef.ErrSizeExceedsLimit) {
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
		m, err := parse(`{"schemaVersion":2,"config":` + d + `,"layers":[` + d + `],"subject":` + d + `}`)
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
		`{"schemaVersion":2,"manifests":[` + layer + `,{"size":-1}]}`,
		`{"mediaType":"` + mediaTypeArtifactManifest + `","blobs":[` + layer + `,"x"]}`,
		`{"schemaVersion":1}`,
		`{"mediaType":"` + mediaTypeDockerList + `","manifests":null,"layers":{}}`,
		`null`, `[`, ``,
	} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := ParseManifest(digest.FromBytes(content), content)
		if err != nil {
			return
		}
		if m.MediaType != DocumentType(content) || Contradiction(m.MediaType, content) != nil {
			t.Fatalf("media type %q, and then %q", m.MediaType, DocumentType(content))
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
			if desc.Digest == "" && m.LeftOut != nil && !m.IsIndex() {
				continue // a hole
			}
			if checkDigest(desc.Digest) != nil || desc.Size < 0 || (desc.Data != nil && !embedded(desc)) {
				t.Fatalf("descriptor %+v", desc)
			}
		}
	})
}
