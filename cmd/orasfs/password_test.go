package main

import (
	"os"
	"strings"
	"testing"
)

func TestPassword(t *testing.T) {
	tests := []struct {
		name, stdin, variable string
		args                  []string
		want                  string
	}{
		{"none", "unread", "", nil, ""},
		{"stdin", "s3cret", "", []string{"--password-stdin"}, "s3cret"},
		{"a line of stdin", "s3cret\n", "", []string{"--password-stdin"}, "s3cret"},
		{"a line of Windows", "s3cret\r\n", "", []string{"--password-stdin"}, "s3cret"},
		{"spaces and breaks within", " a b\nc \n", "", []string{"--password-stdin"}, " a b\nc "},
		{"environment", "", "s3cret", nil, "s3cret"},
		{"stdin before environment", "one", "two", []string{"--password-stdin"}, "one"},
		{"an identity token", "t0ken\n", "", []string{"--identity-token-stdin"}, "t0ken"},
		{"with a username", "s3cret", "", []string{"-u", "me", "--password-stdin"}, "s3cret"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withoutSettings(t)
			t.Setenv(passwordVariable, test.variable)
			r := mustRequest(t, test.stdin, append(test.args, "localhost:5000", "/mnt")...)
			if r.registry.Password != test.want {
				t.Errorf("password %q, expected %q", r.registry.Password, test.want)
			}
			if v, ok := os.LookupEnv(passwordVariable); ok {
				t.Errorf("%s=%s is still in the environment", passwordVariable, v)
			}
		})
	}
}

func TestPasswordBound(t *testing.T) {
	withoutSettings(t)
	longest := strings.Repeat("x", maxSecrets)
	r := mustRequest(t, longest+"\r\n", "--password-stdin", "localhost:5000", "/mnt")
	if r.registry.Password != longest {
		t.Errorf("a password of %d bytes became one of %d", maxSecrets, len(r.registry.Password))
	}
	_, err := request(t, longest+"x", "--password-stdin", "localhost:5000", "/mnt")
	wantError(t, err, "--password-stdin", "more than")
}
