package main

import (
	"strconv"
	"testing"
)

// TestMutantsApply: every mutant's old text is still in the code, once. Whether it is caught, the command tells.
func TestMutantsApply(t *testing.T) {
	t.Chdir("../../..")
	list, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range list {
		if _, err := m.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if len(m.expect) == 0 || m.row == "" {
			t.Errorf("%s does not say which row of the catalogue it is, or what it expects", m.name)
		}
		rows[m.row] = true
	}
	for row := 1; row <= 36; row++ {
		if name := strconv.Itoa(row); !rows[name] {
			t.Errorf("no mutant is of row %s", name)
		}
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"", "row: 1", "row: 1\ndoes: x", "does: x\n<<<<\na\n====\nb\n>>>>", "does: x\nfile: f\n<<<<\na\n>>>>\n====", "colour: red"} {
		if m, err := parse("x", bad); err == nil {
			t.Errorf("%q is read as %+v", bad, m)
		}
	}
	m, err := parse("x", "row: 3\ndoes: y\nexpect: A B\nfile: f\n<<<<\na\n\nb\n====\n>>>>\n<<<<\nc\n====\nd\n>>>>\n")
	if err != nil || len(m.patches) != 2 || m.patches[0] != (patch{"f", "a\n\nb", ""}) || m.patches[1] != (patch{"f", "c", "d"}) || len(m.expect) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}
