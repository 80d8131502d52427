package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	known := []string{"linear-loop", "linear-signal", "fast-loop", "fast-signal", "eager", "now", "ride", "tcp+tls"}
	for _, c := range []struct{ word, want string }{
		{"fats-signal", "fast-signal"},
		{"fast-sginal", "fast-signal"},
		{"Fast-Signal", "fast-signal"},
		{"fastsignal", "fast-signal"},
		{"linear-lop", "linear-loop"},
		{"nwo", "now"},
		{" ride ", "ride"},
		{"rode", "ride"},
		{"signal", "linear-signal"},
		{"eag", "eager"},
		{"tcptls", "tcp+tls"},
		{"zzz", ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat("now", 100), ""},
		{"\xff\xfe", ""},
	} {
		if got := Name(c.word, known); got != c.want {
			t.Errorf("Name(%q) = %q, want %q", c.word, got, c.want)
		}
	}
	if got := Name("now", nil); got != "" {
		t.Errorf("Name among no names = %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3},
		{"fast", "fats", 1}, {"µs", "us", 1},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestUnknownIsOneLine(t *testing.T) {
	known := []string{"now", "ride"}
	if got, want := Unknown("gate", "nwo", known), `unknown gate "nwo", did you mean now? Known: now, ride`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Unknown("gate", "qqqq", known), `unknown gate "qqqq", known: now, ride`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Unknown("gate", strings.Repeat("a\n", 1000), known); strings.Contains(got, "\n") || len(got) > 300 {
		t.Errorf("got %d characters: %s", len(got), got)
	}
}
