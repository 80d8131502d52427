package reports

import "testing"

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(5), "5"}, {number(1000), "1,000"}, {number(1234567), "1,234,567"},
		{number(0.0123456), "0.0123"}, {number(9.996), "10.0"}, {number(99.96), "100"}, {number(999.6), "1,000"}, {number(-1234.5), "-1,234"},
		{figure(50), "50.0"}, {figure(5), "5.00"}, {figure(100), "100"}, {figure(0), "0"}, {figure(0.17), "0.170"},
		{duration(0), "0"}, {duration(1), "1.00 ns"}, {duration(999), "999 ns"}, {duration(1000), "1.00 µs"}, {duration(50e6), "50.0 ms"},
		{duration(170_000), "170 µs"}, {duration(1.5e9), "1,500 ms"}, {duration(15e9), "15.0 s"},
		{percent(0), "0%"}, {percent(0.00001), "0.0%"}, {percent(0.023), "2.3%"}, {percent(0.5), "50%"}, {percent(1), "100%"},
		{share(0.999), "over 99%"}, {share(1), "100%"}, {share(0.5), "50%"},
		{times(1), "1.00x"}, {times(0.333), "0.33x"}, {times(0.00258), "0.0026x"}, {times(1.999), "2.0x"}, {times(9.96), "10x"}, {times(38.4), "38x"}, {times(1234), "1,234x"},

		{clean("a\nb\x1b[31mc\t"), "a b[31mc "},
		{percent(byChance(1)), "100%"}, {percent(byChance(3)), "10%"}, {percent(byChance(5)), "0.8%"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
