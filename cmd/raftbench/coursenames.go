package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/lab"
)

// courseNames lets students write what their course calls things: TestBasicAgree2B, or TestBasicAgree3B since the lab is
// the third, for BasicAgree; 2b, 3B or 3b for suite 2B. It puts this project's names into the flags --test and --suite.
func courseNames(c *cli.Context) error {
	for flag, ours := range map[string]func(string) string{"test": testOfCourse, "suite": suiteOfCourse} {
		if !c.IsSet(flag) {
			continue
		}
		words := strings.Split(c.String(flag), ",")
		for i, word := range words {
			words[i] = ours(strings.TrimSpace(word))
		}
		if err := c.Set(flag, strings.Join(words, ",")); err != nil {
			return err
		}
	}
	return nil
}

// testOfCourse turns the course's name of a test into ours. What is no such name, or is one of another suite than the
// test's, it returns as it is.
func testOfCourse(name string) string {
	const suiteLength = len("2B")
	short, ok := strings.CutPrefix(name, "Test")
	if !ok || len(short) <= suiteLength {
		return name
	}
	end := len(short) - suiteLength
	suite := suiteOfCourse(short[end:])
	if !slices.Contains(lab.Suites, suite) {
		return name
	}
	short = short[:end]
	if t, known := lab.FindTest(short); known && t.Suite != suite {
		return name
	}
	return short
}

// suiteOfCourse turns the course's name of a part of the lab into ours, which is that of the years when it was lab 2.
func suiteOfCourse(name string) string {
	upper := strings.ToUpper(name)
	if part, ok := strings.CutPrefix(upper, "3"); ok {
		upper = "2" + part
	}
	if slices.Contains(lab.Suites, upper) {
		return upper
	}
	return name
}
