package units

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 cells", 1: "1 cell", 2: "2 cells", 1000: "1000 cells"} {
		if got := Count(n, "cell"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1500: "1500 B", 4096: "4 KiB", 8 << 20: "8 MiB", 8<<20 + 1024: "8193 KiB",
		1 << 30: "1 GiB", 99 << 40: "99 TiB", 5 << 50: "5120 TiB",
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
