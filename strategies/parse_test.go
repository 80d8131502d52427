package strategies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raftbench/raftbench/raft"
)

func contains(words, word string) bool { return slices.Contains(strings.Fields(words), word) }

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"fast-signal", "fast-signal"},
		{" fast-signal ", "fast-signal"},
		{"fast", "fast-signal-commit"},
		{"linear", "linear"},
		{"bisect", "bisect"},
		{"bisect,commit=barrier", "bisect,commit=barrier"},
		{"linear,commit=barrier", "linear-signal"},
		{"linear,send=ride,commit=barrier", "linear-loop"},
		{"fast,apply=confirmed,announce=now", "two-phase"},
		{"fast-signal,apply=every(10ms)", "fast,commit=barrier,apply=every(10ms)"},
		{"fast-signal,backup=linear", "linear-signal"},
		{"eager,backup=hint,announce=ride", "hint"},
		{"fast,send=batch(8,1ms),commit=now", "fast,send=batch(8,1ms)"},
		{"fast , send = batch( 8 , 1000us ) , commit = now", "fast,send=batch(8,1ms)"},
		{"linear,apply=every(60s),send=window(128),commit=every(1500us)", "linear,send=window(128),commit=every(1.5ms),apply=every(1m)"},
		{"two-phase,apply=now", "eager"},
		{"eager,catch-up=log", "eager"},
		{"eager,catch-up=snapshot", "fast,announce=now,catch-up=snapshot"},
		{"fast,catch-up=cheapest,apply=confirmed", "fast,apply=confirmed,catch-up=cheapest"},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		// A strategy with a file of its own may have been added for any point: then it is its name that is printed.
		if got := String(s); got != c.want && (s.Name != got || describe(s) != c.want) {
			t.Errorf("Parse(%q) prints as %s, want %s", c.text, got, c.want)
		}
		if _, isNamed := sameAs(s, named()); isNamed != (s.Name != "") || isNamed != (s.Doc != "") {
			t.Errorf("Parse(%q) has the name %q and the sentence %q", c.text, s.Name, s.Doc)
		}
	}
}

// Errors are one line: what was wrong, the value, and what is allowed.
// gateNames and gateForms are the gates of an axis as errors list them: any that is added is among them.
func gateNames(axis string) string {
	return gatesOf(axis, func(k gateKind) string { return k.name })
}

func gateForms(axis string) string {
	return gatesOf(axis, func(k gateKind) string {
		if len(k.params) == 0 {
			return k.name
		}
		return k.name + "(" + strings.Join(k.params, ",") + ")"
	})
}

func gatesOf(axis string, text func(gateKind) string) string {
	var texts []string
	for _, k := range gates {
		if slices.Contains(k.axes, axis) {
			texts = append(texts, text(k))
		}
	}
	return strings.Join(texts, ", ")
}

func TestParseErrors(t *testing.T) {
	long := strings.Repeat("x\n", 5000)
	for _, c := range []struct{ text, want string }{
		{"", `strategy "": is empty`},
		{"  ", `strategy "  ": is empty`},
		{",", `part 1 between commas is empty`},
		{"fast,", `part 2 between commas is empty`},
		{"fast,,send=now", `part 2 between commas is empty`},
		{"fats", `unknown strategy "fats", did you mean fast?`},
		{"exponental,send=now", `did you mean exponential?`},
		{"send=now", `choice "send=now" has no strategy before it`},
		{"fast,eager", `"eager" is not a choice; a choice is written send=now, with one of backup, send, commit, announce, apply`},
		{"fast,sned=now", `unknown choice "sned", did you mean send?`},
		{"fast,name=x", `unknown choice "name", known: backup, send, commit, announce, apply`},
		{"fast,send=now,send=ride", `send is given twice`},
		{"fast,backup=linear", `backup is given twice`},
		{"eager,backup=fats", `unknown backup "fats", did you mean fast? Known: ` + strings.Join(backupNames(), ", ")},
		{"fast,send=", `send: unknown gate ""`},
		{"fast,send=nwo", `send: unknown gate "nwo", did you mean now? Known: ` + gateNames(AxisSend)},
		{"fast,commit=confirmed", `commit: gate confirmed is for apply only; commit takes ` + gateForms(AxisCommit)},
		{"fast,announce=barrier", `announce: gate barrier is for send and commit only; announce takes ` + gateForms(AxisAnnounce)},
		{"fast,send=now()", `gate "now()" is written now`},
		{"fast,send=every", `gate "every" is written every(d)`},
		{"fast,send=every()", `d is "", want a duration with its unit from 1µs to 1m, such as 10ms`},
		{"fast,send=every(10)", `d is "10", want a duration with its unit`},
		{"fast,send=every(0s)", `d is "0s", want`},
		{"fast,send=every(-5ms)", `d is "-5ms", want`},
		{"fast,send=every(61s)", `d is "61s", want`},
		{"fast,send=every(1ns)", `d is "1ns", want`},
		{"fast,send=every(99999999999h)", `d is "99999999999h", want`},
		{"fast,send=batch(8)", `gate "batch(8)" is written batch(n,hold)`},
		{"fast,send=batch(0,1ms)", `n is "0", want a whole number from 1 to 1000000`},
		{"fast,send=batch(1.5,1ms)", `n is "1.5", want a whole number`},
		{"fast,send=batch(8,)", `hold is "", want a duration`},
		{"fast,send=window(-1)", `n is "-1", want a whole number from 1 to 128`},
		{"fast,send=window(129)", `n is "129", want a whole number from 1 to 128`},
		{"fast,send=window(99999999999999999999)", `want a whole number from 1 to 128`},
		{"fast,send=window(4", `a parenthesis is not closed`},
		{"fast,send=window4)", `a parenthesis is closed that was not opened`},
		{"fast,send=window(4)x", `a parenthesis that is not the last character closing it`},
		{"fast,send=window((4))", `n is "(4)", want a whole number`},
		{"fast,send=win,dow(4)", `send: unknown gate "win", did you mean window?`},
		{"fast,send=now,dow(4)", `"dow(4)" is not a choice`},
		{long, `unknown strategy "x\nx\n`},
		{"fast,send=" + long, `unknown gate "x\nx\n`},
		{"fast," + long, `is not a choice`},
		{"fast,send=every(" + long + ")", `want a duration`},
	} {
		s, err := Parse(c.text)
		if err == nil {
			t.Errorf("Parse(%q) gives %s, want an error", c.text, String(s))
			continue
		}
		if got := err.Error(); !strings.Contains(got, c.want) || strings.Contains(got, "\n") || len(got) > 500 {
			t.Errorf("Parse(%q): %s\nwant one line with: %s", c.text, got, c.want)
		}
	}
}

// randomPoint draws any point of the space.
func randomPoint(random *rand.Rand) raft.Strategy {
	s := raft.Strategy{Backup: backups[random.IntN(len(backups))].backup}
	period := func() time.Duration {
		unit := []time.Duration{time.Microsecond, 100 * time.Microsecond, ms, time.Second}[random.IntN(4)]
		return min(time.Duration(1+random.IntN(90))*unit+time.Duration(random.IntN(2)*random.IntN(1000)), maxPeriod)
	}
	gate := func(more ...raft.Gate) raft.Gate {
		more = append(more, Now{}, Ride{}, Every(period()), Batch{1 + random.IntN(maxBatch), period()})
		return more[random.IntN(len(more))]
	}
	s.Send = gate(Barrier{}, Window(1+random.IntN(raft.DefaultMaxInFlight)))
	s.Commit = gate(Barrier{})
	s.Announce = gate()
	s.Apply = gate(Confirmed{})
	s.CatchUp = catchUps[random.IntN(len(catchUps))].catchUp
	return s
}

func TestParseAndPrintAreInverse(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for range 20_000 {
		s := randomPoint(random)
		text := String(s)
		got, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got.Name, got.Doc = "", ""; got != s {
			t.Fatalf("%s reads as %+v, want %+v", text, got, s)
		}
		// The same point, written with all its choices in any order, from any start.
		c, order := Choices(s), random.Perm(5)
		text = c[AxisBackup]
		if random.IntN(2) == 0 {
			text = named()[0].Name + ",backup=" + text
			if findBackup(named()[0].Name) != nil {
				t.Fatal("the first named strategy is a backup")
			}
		}
		for _, i := range order {
			axis := Axes()[1+i]
			text += "," + axis + "=" + c[axis]
		}
		if got, err = Parse(text); err != nil || String(got) != String(s) {
			t.Fatalf("%s reads as %s, %v, want %s", text, String(got), err, String(s))
		}
	}
	for _, s := range List() {
		if String(s) != s.Name {
			t.Errorf("%s prints as %s", s.Name, String(s))
		}
		if got, err := Parse(s.Name); err != nil || got != s {
			t.Errorf("Parse(%s) = %+v, %v", s.Name, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"fast-signal", "fast,send=batch(8,1ms),commit=now", "fast-signal,apply=every(10ms)", "bisect",
		"linear,send=window(1)", "fast,", "fast,send=every(1m0s)", "a=b", "((", "fast,send=every(1.5h)", "eager , backup = hint"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("Parse(%q): more than one line: %v", text, err)
			}
			return
		}
		printed := String(s)
		again, err := Parse(printed)
		if err != nil || again != s || String(again) != printed {
			t.Fatalf("Parse(%q) prints as %q, which reads as %+v, %v", text, printed, again, err)
		}
		if list, err := ParseList(text); err != nil || len(list) != 1 || list[0] != s {
			t.Fatalf("ParseList(%q) = %+v, %v, want what Parse gives alone", text, list, err)
		}
	})
}

func texts(list []raft.Strategy) string {
	var all []string
	for _, s := range list {
		all = append(all, String(s))
	}
	return strings.Join(all, " ")
}

// spell writes each of the strategies in a list as texts does, also one that has been given a name since.
func spell(t *testing.T, list string) string {
	t.Helper()
	var all []raft.Strategy
	for _, text := range strings.Fields(list) {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return texts(all)
}

func TestParseList(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"eager", "eager"},
		{"linear-signal,fast-signal,bisect", "linear-signal fast-signal bisect"},
		{"linear-loop,fast,send=batch(8,1ms),commit=barrier,eager", "linear-loop fast,send=batch(8,1ms),commit=barrier eager"},
		{" linear-loop , fast , send=window(2)", "linear-loop fast,send=window(2)"},
		{"fast,fast-signal-commit,eager,fast,announce=now", "fast-signal-commit eager"},
	} {
		list, err := ParseList(c.text)
		if got := texts(list); err != nil || got != spell(t, c.want) {
			t.Errorf("ParseList(%q) = %s, %v, want %s", c.text, got, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", `strategies "": is empty`},
		{"fast,,eager", `strategies "fast,,eager": part 2 between commas is empty`},
		{"send=now,fast", `choice "send=now" has no strategy before it`},
		{"fast,eagre", `unknown strategy "eagre", did you mean eager?`},
		{"fast,send=now,linear,send=nwo", `strategy "linear,send=nwo": send: unknown gate "nwo"`},
		{"fast,send=batch(8,1ms", `a parenthesis is not closed`},
	} {
		if list, err := ParseList(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseList(%q) = %s, %v, want an error with %s", c.text, texts(list), err, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	got, err := Split("now, batch(8, 1ms) ,ride")
	if want := []string{"now", "batch(8, 1ms)", "ride"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestCross(t *testing.T) {
	named := func(names ...string) (list []raft.Strategy) {
		for _, n := range names {
			s, err := Parse(n)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		return list
	}
	for _, c := range []struct {
		about string
		base  []raft.Strategy
		v     Values
		want  string
	}{
		{"nothing", nil, Values{}, "fast-signal-commit"},
		{"only a base", named("eager", "linear-loop"), Values{}, "eager linear-loop"},
		{"one axis", named("eager", "linear-loop"), Values{Send: []string{"now", "ride"}},
			"eager fast,send=ride,announce=now linear-signal linear-loop"},
		{"two axes: the last changes fastest", nil, Values{Backup: []string{"linear", "bisect"}, Commit: []string{"barrier", "now"}},
			"linear-signal linear bisect,commit=barrier bisect"},
		{"duplicates", named("fast-loop", "fast-signal"), Values{Send: []string{"now", "ride", "now"}}, "fast-signal fast-loop"},
		{"every axis", nil, Values{[]string{"fast"}, []string{"now"}, []string{"now"}, []string{"now"}, []string{"confirmed", "batch(2,1ms)"}, []string{"log", "snapshot"}},
			"two-phase fast,announce=now,apply=confirmed,catch-up=snapshot fast,announce=now,apply=batch(2,1ms) fast,announce=now,apply=batch(2,1ms),catch-up=snapshot"},
	} {
		list, err := Cross(c.base, c.v)
		if got := texts(list); err != nil || got != spell(t, c.want) {
			t.Errorf("%s: %s, %v, want %s", c.about, got, err, c.want)
		}
		for _, s := range list {
			if _, ok := sameAs(s, List()); ok != (s.Name != "") {
				t.Errorf("%s: %s has the name %q", c.about, String(s), s.Name)
			}
		}
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("every(%dms)", i+1)
	}
	for _, c := range []struct {
		v    Values
		want string
	}{
		{Values{Send: []string{"nwo"}}, `send: unknown gate "nwo", did you mean now?`},
		{Values{Backup: []string{"liner"}}, `unknown backup "liner", did you mean linear?`},
		{Values{Commit: []string{"window(3)"}}, `commit: gate window is for send only`},
		{Values{Send: many, Commit: many}, `the choices make 10201 strategies or more, want at most 10000`},
	} {
		if list, err := Cross(nil, c.v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Cross(%v) = %s, %v, want an error with %s", c.v, texts(list), err, c.want)
		}
	}
	base := named("eager")
	if _, err := Cross(base, Values{Send: []string{"ride"}}); err != nil || String(base[0]) != "eager" {
		t.Errorf("Cross changed its base: %s, %v", String(base[0]), err)
	}
}
