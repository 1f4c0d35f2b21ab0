package resolver

import (
	"flag"
	"time"
)

// Two timeouts that a test waits for, and those that do wait together.
const (
	// shortTimeout is for what nothing comes of, however long it takes.
	shortTimeout = time.Second
	// answerTimeout is where something answers all the same, at first or after a
	// while: it has so long, however busy the machine is.
	answerTimeout = 5 * time.Second
)

// atOnce is how many of them run at the same time.
const atOnce = "32"

// runAtOnce has so many run, unless the command line says how many.
func runAtOnce() {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" || f.Name == "test.fuzz" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err) // the flag is there, and this is a number
		}
	}
}
