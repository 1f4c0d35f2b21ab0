package main

import (
	"fmt"
	"slices"
	"strings"
)

// A choice is a flag that holds one of a few words.
type choice struct {
	value string
	words []string
}

func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return fmt.Errorf("must be %s", strings.Join(c.words, " or "))
	}
	c.value = word
	return nil
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }
