package main

import (
	"testing"

	"github.com/raftbench/raftbench/lab"
)

func TestCourseNames(t *testing.T) {
	for name, want := range map[string]string{
		"TestBasicAgree2B": "BasicAgree", "TestBasicAgree3B": "BasicAgree", "TestBasicAgree3b": "BasicAgree",
		"TestPersist12C": "Persist1", "TestFigure82C": "Figure8", "TestFigure8Unreliable3C": "Figure8Unreliable",
		"TestSnapshotBasic2D": "SnapshotBasic", "TestSnapshotInstallUnCrash3D": "SnapshotInstallUnCrash",
		"BasicAgree": "BasicAgree", "Figure8": "Figure8",
		"TestBakup2B":      "Bakup",            // unknown, with a name that the error can compare
		"TestBasicAgree2A": "TestBasicAgree2A", // of another suite
		"TestBasicAgree":   "TestBasicAgree",
		"TestBasicAgree4B": "TestBasicAgree4B",
		"Test2B":           "Test2B",
		"":                 "",
	} {
		if got := testOfCourse(name); got != want {
			t.Errorf("test %q is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"2B": "2B", "2b": "2B", "3B": "2B", "3c": "2C", "3D": "2D", "2d": "2D", "2E": "2E", "all": "all", "3": "3", "": ""} {
		if got := suiteOfCourse(name); got != want {
			t.Errorf("suite %q is %q, want %q", name, got, want)
		}
	}
	// Every test has its two names in the course.
	for _, test := range lab.Tests {
		for _, year := range []string{"2", "3"} {
			if name := "Test" + test.Name + year + test.Suite[1:]; testOfCourse(name) != test.Name {
				t.Errorf("%s is %s, want %s", name, testOfCourse(name), test.Name)
			}
		}
	}
}
