//go:build !linux

package main

// checkFUSE leaves it to the mount itself to say what is missing.
func checkFUSE(bool) error { return nil }
