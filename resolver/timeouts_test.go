package resolver

import (
	"flag"
	"time"
)

// shortTimeout is one that a test waits for. Whatever answers has so long, however
// busy the machine is: so the tests that wait do so together.
const shortTimeout = time.Second

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
