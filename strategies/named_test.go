package strategies

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/lists.golden anew")

// The lists of strategies, gates and backups hold what the golden file does, in its order. There may be more: adding a
// strategy takes one new file and no other change.
func TestListsGolden(t *testing.T) {
	const golden = "testdata/lists.golden"
	var b strings.Builder
	for _, s := range List() {
		c := Choices(s)
		fmt.Fprintf(&b, "%-18s  %-11s  %-4s  %-7s  %-4s  %-9s  %s\n", s.Name, c["backup"], c["send"], c["commit"], c["announce"], c["apply"], s.Doc)
	}
	for _, k := range slices.Concat(Gates(), Backups(), CatchUps()) {
		fmt.Fprintf(&b, "%-13s  %s  %s\n", k.Form, strings.Join(k.Axes, " "), k.Doc)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	rest := b.String()
	for lines := bufio.NewScanner(want); lines.Scan(); {
		_, after, ok := strings.Cut(rest, lines.Text()+"\n")
		if !ok {
			t.Fatalf("missing, or not in its place: %s\ngot:\n%s", lines.Text(), b.String())
		}
		rest = after
	}
}

// The classroom's variants differ from one another in one choice each, so that a comparison shows what it costs.
func TestNamedNeighboursDifferInOneChoice(t *testing.T) {
	for _, c := range [][3]string{
		{"linear-loop", "linear-signal", AxisSend},
		{"fast-loop", "fast-signal", AxisSend},
		{"linear-loop", "fast-loop", AxisBackup},
		{"linear-signal", "fast-signal", AxisBackup},
		{"fast-signal", "fast-signal-commit", AxisCommit},
		{"fast-signal-commit", "eager", AxisAnnounce},
		{"eager", "two-phase", AxisApply},
		{"fast-signal-commit", "hint", AxisBackup},
		{"fast-signal-commit", "sendall", AxisBackup},
	} {
		a, err := Parse(c[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(c[1])
		if err != nil {
			t.Fatal(err)
		}
		x, y := Choices(a), Choices(b)
		for _, axis := range Axes() {
			if differ := x[axis] != y[axis]; differ != (axis == c[2]) {
				t.Errorf("%s and %s: %s is %s and %s, and they should differ in %s alone", c[0], c[1], axis, x[axis], y[axis], c[2])
			}
		}
	}
}

func TestListIsACopy(t *testing.T) {
	List()[0].Name = "changed"
	if name := List()[0].Name; name == "changed" {
		t.Error("what List returns is shared")
	}
}

const goodFile = `# a comment

doc:   One sentence: with a colon.
backup: hint
  send :  batch(8, 1ms)
commit: now
announce: ride
apply: now
`

func TestReadNamed(t *testing.T) {
	list, err := readNamed(map[string]string{
		"b.strategy":     goodFile,
		"a.strategy":     strings.Replace(goodFile, "hint", "fast", 1),
		"first.strategy": strings.Replace(goodFile, "hint", "linear", 1) + "order: 5\n",
	})
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	for i, want := range []string{"first", "a", "b"} {
		if list[i].Name != want {
			t.Errorf("place %d has %s, want %s", i, list[i].Name, want)
		}
	}
	if s := list[2]; s.Doc != "One sentence: with a colon." || describe(s) != "hint,send=batch(8,1ms)" {
		t.Errorf("got %+v", s)
	}
	if _, err := readNamed(map[string]string{"windows.strategy": strings.ReplaceAll(goodFile, "\n", "\r\n")}); err != nil {
		t.Errorf("line ends of Windows: %v", err)
	}
}

func TestReadNamedErrors(t *testing.T) {
	with := func(old, new string) map[string]string {
		return map[string]string{"x.strategy": strings.Replace(goodFile, old, new, 1)}
	}
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{with("commit: now", "comit: now"), `x.strategy: line 6: unknown key "comit", did you mean commit?`},
		{with("commit: now", "commit: nwo"), `x.strategy: line 6: commit: unknown gate "nwo", did you mean now?`},
		{with("commit: now", "commit: confirmed"), `commit: gate confirmed is for apply only`},
		{with("commit: now", "commit:"), `line 6: "commit:" is not of the form key: value`},
		{with("commit: now", "commit"), `line 6: "commit" is not of the form key: value`},
		{with("commit: now", "send: now"), `line 6: send is given twice`},
		{with("commit: now\n", ""), `x.strategy: commit is missing`},
		{with("doc:", "#"), `x.strategy: doc is missing`},
		{with("# a comment", "order: -1"), `line 1: order is "-1", want a whole number from 0 to 1000000`},
		{with("# a comment", "order: soon"), `order is "soon", want`},
		{with("hint", "hnit"), `unknown backup "hnit", did you mean hint?`},
		{map[string]string{"": goodFile}, `the name "" is not made of small letters`},
		{map[string]string{"a b.strategy": goodFile}, `the name "a b" is not made of`},
		{map[string]string{"a=b.strategy": goodFile}, `the name "a=b" is not made of`},
		{map[string]string{"fast.strategy": goodFile}, `fast is the name of a backup`},
		{map[string]string{"a.strategy": goodFile, "b.strategy": goodFile}, `a and b make the same choices, hint,send=batch(8,1ms)`},
	} {
		if _, err := readNamed(c.files); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %s", err, c.want)
		}
	}
}
