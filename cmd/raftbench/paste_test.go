//go:build unix

package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/raftbench/raftbench/check"
)

// Every line that check prints for pasting is pasted. Nothing is broken here, so a seed is said to be, and playing it
// again must find nothing; it must be the same seed with the same limits.
func TestCheckLinesArePasted(t *testing.T) {
	for _, args := range [][]string{
		{"--seed", "4711"},
		{"--seed", "3", "--nodes", "3", "--strategy", "fast,send=batch(8,1ms)"},
	} {
		var out bytes.Buffer
		app := newApp(&out, &out)
		command := find(app.Commands, "check")
		var plan *check.Plan
		command.Action = func(c *cli.Context) (err error) {
			plan, err = check.Draw(c.Uint64("seed"), check.Limits{Replicas: c.Int("nodes"), Strategy: c.String("strategy")})
			if err != nil {
				return err
			}
			return tellFailure(c, &check.Failure{Plan: plan, Outcome: &check.Outcome{Violation: &check.Violation{What: "said to be"}}})
		}
		if err := app.RunContext(t.Context(), append([]string{"raftbench", "check"}, args...)); err == nil {
			t.Fatal("a failure is none")
		}
		lines := regexp.MustCompile(`(?m)^(?:repeat it|shortest): +(.*)$`).FindAllStringSubmatch(out.String(), -1)
		if len(lines) != 2 {
			t.Fatalf("%d lines to paste in\n%s", len(lines), out.String())
		}
		for _, line := range lines {
			words, err := exec.Command("sh", "-c", `printf '%s\n' `+line[1]).Output()
			if err != nil {
				t.Fatalf("%s: %v", line[1], err)
			}
			var stdout, stderr bytes.Buffer
			typed := strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
			if status := run(t.Context(), typed, &stdout, &stderr); status != exitOK {
				t.Errorf("%s: status %d: %s", line[1], status, stderr.String())
			}
			if first, _, _ := strings.Cut(plan.String(), "\n"); !strings.Contains(stdout.String(), first) {
				t.Errorf("%s: not %q in\n%s", line[1], first, stdout.String())
			}
		}
	}
}
