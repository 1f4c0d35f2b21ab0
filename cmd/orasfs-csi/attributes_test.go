//go:build linux

package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const reference = "registry.example/org/model:v1"

func TestParseWants(t *testing.T) {
	for name, tc := range map[string]struct {
		given   map[string]string
		handle  string
		options []string
		group   string
		want    wants
	}{
		"inline":           {given: map[string]string{"reference": reference, "csi.storage.k8s.io/ephemeral": "true"}, handle: "csi-123", want: wants{Warm: "none", Share: share{Reference: reference}}},
		"persistent":       {handle: reference, want: wants{Warm: "none", Share: share{Reference: reference}}},
		"persistent other": {given: map[string]string{"reference": reference, "storage.kubernetes.io/csiProvisionerIdentity": "x"}, handle: "any", want: wants{Warm: "none", Share: share{Reference: reference}}},
		"empty":            {given: map[string]string{"view": "", "warm": "", "include": "", "mountOptions": ""}, handle: reference, want: wants{Warm: "none", Share: share{Reference: reference}}},
		"options": {given: map[string]string{"mountOptions": "uid=5,noexec,,noexec"}, handle: reference, options: []string{"ro"},
			want: wants{Warm: "none", Share: share{Reference: reference, Options: []string{"noexec", "ro", "uid=5"}}}},
		"group":       {handle: reference, group: "2000", want: wants{Warm: "none", Share: share{Reference: reference, Options: []string{"gid=2000"}}}},
		"group given": {handle: reference, options: []string{"gid=5"}, group: "2000", want: wants{Warm: "none", Share: share{Reference: reference, Options: []string{"gid=5"}}}},
		"globs":       {given: map[string]string{"warm": "before", "include": "a, b\n{c,d}"}, handle: reference, want: wants{Warm: "before", Include: []string{"a", "b", "{c,d}"}, Share: share{Reference: reference}}},
	} {
		got, err := parseWants(tc.given, tc.handle, tc.options, tc.group)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
}

func TestParseWantsRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		given   map[string]string
		options []string
		words   string
	}{
		"no attribute":      {map[string]string{"image": reference}, nil, `"image"`},
		"no reference":      {map[string]string{"csi.storage.k8s.io/ephemeral": "true"}, nil, "reference is needed"},
		"no host":           {map[string]string{"reference": "library/nginx:1"}, nil, "no registry"},
		"no tag":            {map[string]string{"reference": "registry.example/nginx"}, nil, "no tag"},
		"a flag":            {map[string]string{"reference": "--cache-dir=./x:y"}, nil, "no reference"},
		"a space":           {map[string]string{"reference": "registry.example/a b:c"}, nil, "no reference"},
		"long":              {map[string]string{"platform": strings.Repeat("x", maxAttribute+1)}, nil, "bytes"},
		"zero":              {map[string]string{"platform": "a\x00b"}, nil, "zero byte"},
		"follow":            {map[string]string{"follow": "maybe"}, nil, "neither true nor false"},
		"follow a digest":   {map[string]string{"follow": "true", "reference": "registry.example/a@sha256:x"}, nil, "digest"},
		"follow a part":     {map[string]string{"follow": "true", "subPath": "a"}, nil, "subPath"},
		"globs":             {map[string]string{"exclude": "a"}, nil, "warm is none"},
		"option":            {map[string]string{"mountOptions": "allow_root"}, nil, "allow_root"},
		"option of a file":  {nil, []string{"cache-dir=/etc"}, "cache-dir"},
		"option without =":  {nil, []string{"uid"}, "uid"},
		"option with =":     {nil, []string{"noexec=1"}, "noexec=1"},
		"two in one option": {nil, []string{"uid=0,cache-dir=/etc"}, "comma"},
		"option twice":      {nil, []string{"uid=1", "uid=2"}, "uid=1 and uid=2"},
		"view":              {map[string]string{"view": "all"}, nil, "rootfs"},
	} {
		_, err := parseWants(tc.given, reference, tc.options, "")
		if err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v; want %q", name, err, tc.words)
		}
	}
}

func TestPatterns(t *testing.T) {
	for list, want := range map[string][]string{
		"":                nil,
		" , \n":           nil,
		"a,b":             {"a", "b"},
		"{a,b},c":         {"{a,b}", "c"},
		"{a,{b,c}},d":     {"{a,{b,c}}", "d"},
		"a{\nb,c":         {"a{", "b", "c"},
		"a},b":            {"a}", "b"},
		`a\{,b`:           {`a\{`, "b"},
		`a\,b`:            {`a\,b`},
		`a\\,b`:           {`a\\`, "b"},
		" é , {x, y} \nz": {"é", "{x, y}", "z"},
	} {
		if got := patterns(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

func TestAsPattern(t *testing.T) {
	for path, want := range map[string]string{"a": "/a", "a/b": "a/b", "a*/{b}": `a\*/\{b\}`, `a\b`: `/a\\b`} {
		if got := asPattern(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// What is read of attributes is read again of the note that is made of it: else a volume
// would be another for the next driver. And no value gets to be another argument.
func FuzzParseWants(f *testing.F) {
	f.Add("reference", reference, "warm", "before", "uid=1")
	f.Add("include", "{a,b},c\nd", "warm", "background", "ro")
	f.Add("mountOptions", "uid=0,gid=1", "follow", "true", "tag-ttl=1s")
	f.Add("subPath", "a/b", "plainHTTP", "true", "noexec")
	f.Add("platform", "linux/arm64", "view", "rootfs", "")
	f.Add("exclude", `\{,`, "verify", "full", "uid=1,gid=2")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, option string) {
		w, err := parseWants(map[string]string{name1: value1, name2: value2}, reference, []string{option}, "")
		if err != nil {
			return
		}
		s := &sources{dir: t.TempDir(), secrets: &secrets{dir: t.TempDir()}}
		mount, ahead := s.mountArgs("0123456789abcdef", w.Share), s.warmArgs("0123456789abcdef", w)
		if mount[len(mount)-3] != "--" || ahead[len(ahead)-2] != "--" {
			t.Errorf("arguments %q, %q", mount, ahead)
		}
		for _, arg := range append(mount[1:len(mount)-3], ahead[1:len(ahead)-2]...) {
			if !strings.HasPrefix(arg, "--") || strings.ContainsRune(arg, 0) {
				t.Errorf("argument %q", arg)
			}
		}
		if given := value1 + value2; !strings.ContainsRune(given, '\uFFFD') && strings.ToValidUTF8(given, "") == given && strings.ToValidUTF8(option, "") == option {
			text, err := json.Marshal(w)
			if err != nil {
				t.Fatal(err)
			}
			var again wants
			if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(w, again) {
				t.Errorf("%+v is %+v in the note, %v", w, again, err)
			}
		}
	})
}
