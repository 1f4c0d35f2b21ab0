package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// secrets are what the process list must not show. A daemon is given them through
// a pipe, and they aren't among its flags.
type secrets struct {
	Password []byte   `json:"password,omitempty"`
	Headers  [][]byte `json:"headers,omitempty"`
}

// secretFlags are the flags that bring secrets.
var secretFlags = []string{"password-stdin", "identity-token-stdin", "header"}

// maxSecrets bounds them, in bytes, and maxHeaders the headers among them: their
// encoding, which is a third longer, is below what a pipe holds (64 KiB, pipe(7)),
// so that handing it to the daemon never blocks.
const (
	maxSecrets = 32 << 10
	maxHeaders = 256
)

// encode is how they go through the pipe.
func (s secrets) encode() ([]byte, error) { return json.Marshal(s) }

// readSecrets reads what encode made.
func readSecrets(r io.Reader) (s secrets, err error) {
	if err := json.NewDecoder(io.LimitReader(r, 2*maxSecrets)).Decode(&s); err != nil {
		return s, fmt.Errorf("read what the daemon is given: %w", err)
	}
	return s, nil
}

// secrets are those of the flags and of the environment, which they are taken out
// of: the processes started later would find them there.
func (f *registryFlags) secrets(stdin io.Reader) (s secrets, err error) {
	password, err := f.password(stdin)
	if err != nil {
		return s, err
	}
	for _, flag := range []string{"header", "options"} {
		if err := os.Unsetenv(environmentName(flag)); err != nil {
			return s, err
		}
	}
	s.Password = []byte(password)
	size := len(password)
	for _, h := range f.headers {
		s.Headers = append(s.Headers, []byte(h))
		size += len(h)
	}
	if size > maxSecrets || len(s.Headers) > maxHeaders {
		return s, fmt.Errorf("password and headers: more than %d bytes, or %d headers", maxSecrets, maxHeaders)
	}
	return s, nil
}

// headers are those of the secrets, as text.
func (s secrets) headers() []string {
	list := make([]string, len(s.Headers))
	for i, h := range s.Headers {
		list[i] = string(h)
	}
	return list
}
