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

// maxPassword bounds a password or token, in bytes. It is below what a pipe
// holds (64 KiB, pipe(7)), so that handing it to the daemon never blocks.
const maxPassword = 32 << 10

// password reads the password from stdin if asked to, otherwise it takes it
// out of the environment, where the processes started later would find it. It
// is "" if none is given.
func (f *mountFlags) password(stdin io.Reader) (string, error) {
	password := os.Getenv(passwordVariable)
	if err := os.Unsetenv(passwordVariable); err != nil {
		return "", fmt.Errorf("%s in the environment: %w", passwordVariable, err)
	}
	source := passwordVariable
	if f.passwordStdin {
		source = "--password-stdin"
		text, err := io.ReadAll(io.LimitReader(stdin, maxPassword+2))
		if err != nil {
			return "", fmt.Errorf("%s: %w", source, err)
		}
		// One line break at the end is echo's, not the password's.
		password = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if password == "" {
			return "", fmt.Errorf("%s: nothing on the standard input", source)
		}
	}
	if len(password) > maxPassword {
		return "", fmt.Errorf("%s: more than %d bytes", source, maxPassword)
	}
	if f.username != "" && password == "" {
		return "", errors.New("--username needs a password: --password-stdin, or ORASFS_PASSWORD in the environment")
	}
	return password, nil
}
