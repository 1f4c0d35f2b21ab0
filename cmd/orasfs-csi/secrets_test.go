//go:build linux

package main

import (
	"encoding/json"
	"slices"
	"testing"
)

// Whatever a secret has, what a process gets is a config with credentials and nothing
// else, and an error shows nothing of it.
func FuzzRegistryConfig(f *testing.F) {
	f.Add([]byte(`{"auths":{"registry.example":{"auth":"dTpw"}}}`))
	f.Add([]byte(`{"auths":{},"credsStore":"evil","credHelpers":{"registry.example":"evil"}}`))
	f.Add([]byte(`{"AUTHS":null,"auths":{"a":1}}`))
	f.Add([]byte(`["secret"]`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := registryConfig(map[string]string{dockerConfigKey: string(text)})
		if err != nil {
			if err.Error() != dockerConfigKey+" of the secret isn't the JSON of a Docker config" {
				t.Errorf("%v", err)
			}
			return
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(config, &got); err != nil {
			t.Fatal(err)
		}
		for key := range got {
			if !slices.Contains([]string{"auths"}, key) {
				t.Errorf("the config has %s", key)
			}
		}
	})
}

func TestRegistryConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		given map[string]string
		want  string
		fails bool
	}{
		"none":        {},
		"credentials": {given: map[string]string{dockerConfigKey: `{"auths":{"a":{"auth":"x"}},"credsStore":"evil"}`}, want: `{"auths":{"a":{"auth":"x"}}}`},
		"no auths":    {given: map[string]string{dockerConfigKey: `{}`}, want: `{"auths":{}}`},
		"another":     {given: map[string]string{"password": "x"}, fails: true},
		"no JSON":     {given: map[string]string{dockerConfigKey: `x`}, fails: true},
	} {
		got, err := registryConfig(tc.given)
		if string(got) != tc.want || (err != nil) != tc.fails {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// The id of a source is another for other credentials, another share, and one more of the
// same; and for another node.
func TestSourceIDs(t *testing.T) {
	a, b := &secrets{salt: make([]byte, 32)}, &secrets{salt: append(make([]byte, 31), 1)}
	one := share{Reference: reference}
	seen := make(map[string]string)
	for name, make := range map[string]func() (string, error){
		"plain":     func() (string, error) { return a.source(one, nil, 0) },
		"secret":    func() (string, error) { return a.source(one, []byte("x"), 0) },
		"other":     func() (string, error) { return a.source(one, []byte("y"), 0) },
		"second":    func() (string, error) { return a.source(one, []byte("x"), 1) },
		"view":      func() (string, error) { return a.source(share{Reference: reference, View: "files"}, nil, 0) },
		"namespace": func() (string, error) { return a.source(share{Reference: reference, Namespace: "n"}, []byte("x"), 0) },
		"node":      func() (string, error) { return b.source(one, nil, 0) },
		"mark":      func() (string, error) { return a.mark([]byte("x")), nil },
	} {
		id, err := make()
		if err != nil || !isSourceID(id) || seen[id] != "" {
			t.Errorf("%s is %q, as %s; %v", name, id, seen[id], err)
		}
		seen[id] = name
		if again, err := make(); again != id || err != nil {
			t.Errorf("%s is %s, then %s, %v", name, id, again, err)
		}
	}
	if m := a.mark(nil); m != "" {
		t.Errorf("the mark of nothing is %q", m)
	}
}
