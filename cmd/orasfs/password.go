package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// passwordVariable is read where --password-stdin isn't given. There is no
// flag for a password: the process list would show it.
const passwordVariable = environmentPrefix + "PASSWORD"

// password reads the password from stdin if asked to, otherwise it takes it
// out of the environment, where the processes started later would find it. It
// is "" if none is given.
func (f *registryFlags) password(stdin io.Reader) (string, error) {
	password := os.Getenv(passwordVariable)
	if err := os.Unsetenv(passwordVariable); err != nil {
		return "", fmt.Errorf("%s in the environment: %w", passwordVariable, err)
	}
	source := passwordVariable
	if f.passwordStdin || f.identityTokenStdin {
		source = "--password-stdin"
		if f.identityTokenStdin {
			source = "--identity-token-stdin"
		}
		text, err := io.ReadAll(io.LimitReader(stdin, maxSecrets+2))
		if err != nil {
			return "", fmt.Errorf("%s: %w", source, err)
		}
		// One line break at the end is echo's, not the password's.
		password = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if password == "" {
			return "", fmt.Errorf("%s: nothing on the standard input", source)
		}
	}
	if len(password) > maxSecrets {
		return "", fmt.Errorf("%s: more than %d bytes", source, maxSecrets)
	}
	if f.username != "" && password == "" {
		return "", errors.New("--username needs a password: --password-stdin, or ORASFS_PASSWORD in the environment")
	}
	return password, nil
}
