package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// images is how many a normal run has, and batch how many one mount shows.
const (
	images = 300
	batch  = 250
)

func TestImages(t *testing.T) {
	needsMount(t)
	seeds, alone := chosenSeeds(t)
	r := &run{t: t, dir: t.TempDir()}
	for part := range slices.Chunk(seeds, batch) {
		var subjects []*subject
		for _, seed := range part {
			subjects = append(subjects, consult(r.dir, fmt.Sprintf("seed %d", seed), makeImage(seed, refusedEntry(r.dir))))
		}
		r.batch(subjects)
		if alone {
			t.Log(subjects[0].describe())
		}
	}
	r.report()
	if t.Failed() && !alone {
		t.Log("one of them again: ORASFS_SEED=… go test -count 1 -v -run TestImages ./test/differential")
	}
	if len(seeds) >= images && (r.Agreed < len(seeds)/3 || r.Refused == 0 || r.Disagreed == 0 || r.Early == 0) {
		t.Error("too little of what is looked for came up")
	}
}

// chosenSeeds are those of the environment, or the usual ones. alone is that one was
// asked for by itself.
func chosenSeeds(t *testing.T) (seeds []uint64, alone bool) {
	n, first := images, uint64(1)
	rounds, seed := os.Getenv("ORASFS_ROUNDS"), os.Getenv("ORASFS_SEED")
	if testing.Short() {
		n /= 5
	}
	var err error
	if rounds != "" {
		if n, err = strconv.Atoi(rounds); err != nil {
			t.Fatal(err)
		}
		first = rand.Uint64N(1 << 40)
	}
	if seed != "" {
		if first, err = strconv.ParseUint(seed, 10, 64); err != nil {
			t.Fatal(err)
		}
		if rounds == "" {
			n = 1
		}
	}
	for k := range n {
		seeds = append(seeds, first+uint64(k))
	}
	if rounds != "" && seed == "" {
		t.Logf("the first seed is %d", first)
	}
	if rounds == "" && seed == "" {
		seeds = append(seeds, keptSeeds(t)...)
	}
	return seeds, seed != "" && n == 1
}

// keptSeeds are those that failed once.
func keptSeeds(t *testing.T) (seeds []uint64) {
	content, err := os.ReadFile("seeds")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		number, _, _ := strings.Cut(line, "#")
		if number = strings.TrimSpace(number); number == "" {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// TestKeptImages runs what failed once, as it was shrunk.
func TestKeptImages(t *testing.T) {
	needsMount(t)
	content, err := os.ReadFile("images")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, dir: t.TempDir()}
	var subjects []*subject
	for text := range strings.SplitSeq(string(content), "\n\n") {
		title, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "# "), "\n")
		i, err := parseImage(text)
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		if len(i.layers) > 0 {
			subjects = append(subjects, consult(r.dir, title, i))
		}
	}
	r.batch(subjects)
	r.report()
}
