package main

import "testing"

func TestByteSize(t *testing.T) {
	tests := []struct {
		text  string
		bytes int64
		shown string
	}{
		{"10GiB", 10 << 30, "10GiB"},
		{"256MiB", 256 << 20, "256MiB"},
		{"64m", 64 << 20, "64MiB"},
		{"64MB", 64 << 20, "64MiB"},
		{"1048577", 1<<20 + 1, "1048577"},
		{"1.5k", 1536, "1536"},
		{"2048GiB", 2 << 40, "2TiB"},
	}
	for _, test := range tests {
		var s byteSize
		if err := s.Set(test.text); err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		if int64(s) != test.bytes || s.String() != test.shown {
			t.Errorf("%s is %d bytes, shown as %s; expected %d and %s", test.text, s, &s, test.bytes, test.shown)
		}
		var again byteSize
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%s became %d, %v", &s, again, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "0", "0GiB", "10XB", "1e30", "9999999999PiB", "GiB", "nan"} {
		s := byteSize(7)
		if err := s.Set(text); err == nil || s != 7 {
			t.Errorf("%q is %d bytes, error %v", text, s, err)
		}
	}
}
