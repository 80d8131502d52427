package units

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 cells", 1: "1 cell", 2: "2 cells", 1000: "1,000 cells", -2: "-2 cells"} {
		if got := Count(n, "cell"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCountsOfNounsInY(t *testing.T) {
	for n, want := range map[uint64]string{1: "1 strategy", 1_024: "1,024 strategies", 1 << 63: "9,223,372,036,854,775,808 strategies"} {
		if got := Count(n, "strategy"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCommas(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-999": "-999", "1000": "1,000", "-1234567.2500": "-1,234,567.2500", "100.5": "100.5",
	} {
		if got := Commas(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int]string{
		0: "0 B", 1: "1 B", 128: "128 B", 8<<20 + 1: "8,388,609 B", 1 << 20: "1 MiB", 1023: "1,023 B", 1024: "1 KiB", 1500: "1,500 B", 4096: "4 KiB", 8 << 20: "8 MiB", 8<<20 + 1024: "8,193 KiB",
		1 << 30: "1 GiB", 99 << 40: "99 TiB", 5 << 50: "5,120 TiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPerSecond(t *testing.T) {
	for rate, want := range map[float64]string{
		0: "0/s", 0.5: "0.5/s", 10: "10/s", 999: "999/s", 1000: "1,000/s", 1234.25: "1,234.25/s", 123456: "123,456/s", 2e6: "2,000,000/s",
	} {
		if got := PerSecond(rate); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
