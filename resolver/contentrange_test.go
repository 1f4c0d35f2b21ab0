package resolver

import "testing"

func TestParseContentRange(t *testing.T) {
	tests := []struct {
		header string
		want   contentRange
	}{
		{"bytes 0-0/1", contentRange{0, 1, 1}},
		{"bytes 3-6/26", contentRange{3, 4, 26}},
		{"Bytes 3-6/26", contentRange{3, 4, 26}},
		{"bytes 3-6/*", contentRange{3, 4, -1}},
		{"bytes=3-6/26", contentRange{3, 4, 26}},
		{"bytes 3-6", contentRange{3, 4, -1}},
		{"3-6/26", contentRange{3, 4, 26}},
		{"BYTES: 3 - 6 / 26 ", contentRange{3, 4, 26}},
		{"bytes */26", contentRange{0, 0, 26}},
		{"bytes */0", contentRange{0, 0, 0}},
		{"bytes 0-9223372036854775806/9223372036854775807", contentRange{0, 1<<63 - 1, 1<<63 - 1}},
	}
	for _, test := range tests {
		if got, err := parseContentRange(test.header); err != nil || got != test.want {
			t.Errorf("%q: %+v, %v; want %+v", test.header, got, err, test.want)
		}
	}
	for _, header := range []string{
		"", "bytes", "bytes */", "*", "bytes 6-3/26", "bytes6-3/26", "bytes 3-26/26", "bytes -6/26", "bytes 3-/26", "bytes */*",
		"bytes +3-6/26", "bytes 3 6/26", "lines 3-6/26", "bytes 0-9223372036854775807/*", "bytes 0-9223372036854775808/*",
		"bytes 3-6/26, bytes 8-9/26", "bytes 3-6/-1",
	} {
		if got, err := parseContentRange(header); err == nil {
			t.Errorf("%q: %+v", header, got)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-0/1", "bytes 3-6/*", "bytes */26", "bytes 0-9223372036854775807/*", "bytes 4-9223372036854775807/*", "bytes=3-6/26", "3-6", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r, err := parseContentRange(header)
		if err != nil {
			return
		}
		if r.off < 0 || r.n < 0 || r.total < -1 || r.off+r.n < 0 || (r.total >= 0 && r.n > r.total-r.off) {
			t.Fatalf("%q: %+v", header, r)
		}
	})
}
