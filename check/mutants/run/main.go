// Command run plants the bugs of check/mutants, one at a time, builds the checks with each (go build -overlay: the source
// tree stays as it is) and prints which check caught it. It exits with 1 if a bug survives, or if the code without any
// raises an alarm.
//
//	go run ./check/mutants/run            all
//	go run ./check/mutants/run 15 61      those whose file names begin so
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mutant is one planted bug.
type mutant struct {
	name, row, does string
	expect          []string // rules that should notice
	seeds           int      // that are enough, 0 for all
	test            []string // the package and the pattern of the tests that see it, instead of the probe
	patches         []patch
}

// patch replaces a piece of a file that occurs in it exactly once.
type patch struct{ file, old, new string }

// result is what became of a mutant.
type result struct {
	rule, where, seeds, what string
	err                      error
	took                     time.Duration
}

func main() {
	seeds := flag.Int("seeds", 2000, "seeds to try at the most")
	jobs := flag.Int("jobs", runtime.NumCPU(), "mutants at a time")
	golden := flag.Bool("golden", true, "play the golden traces of the core if nothing else notices")
	verbose := flag.Bool("v", false, "tell what each check said")
	flag.Parse()
	list, err := load(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if len(flag.Args()) == 0 {
		list = append([]mutant{{name: "control", row: "-", does: "nothing is planted"}}, list...)
	}
	results := make([]result, len(list))
	var next, done int
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range *jobs {
		workers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(list) {
					return
				}
				started := time.Now()
				r := try(&list[i], *seeds, *golden)
				r.took = time.Since(started)
				mu.Lock()
				results[i] = r
				done++
				fmt.Fprintf(os.Stderr, "%d/%d %-32s %-8s %-16s %v\n", done, len(list), list[i].name, r.rule, r.where, r.took.Round(100*time.Millisecond))
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	fmt.Printf("| row | mutant | planted | caught by | where | seeds |\n|---|---|---|---|---|---|\n")
	bad := 0
	for i, m := range list {
		r := results[i]
		verdict := r.rule
		switch control := m.name == "control"; {
		case r.err != nil:
			verdict = "ERROR: " + r.err.Error()
			bad++
		case control && r.rule != "none":
			verdict = "FALSE ALARM " + r.rule
			bad++
		case !control && r.rule == "none":
			verdict = "SURVIVED"
			bad++
		case !control && len(m.expect) > 0 && !slices.Contains(m.expect, r.rule):
			verdict += " (expected " + strings.Join(m.expect, ", ") + ")"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", m.row, m.name, m.does, verdict, r.where, r.seeds)
		if *verbose {
			fmt.Printf("    %s\n", r.what)
		}
	}
	if bad > 0 {
		fmt.Fprintf(os.Stderr, "mutants: %d of %d are not as they should be\n", bad, len(list))
		os.Exit(1)
	}
}

const folder = "check/mutants"

// load reads the mutants whose names begin with one of the prefixes, all if there are none.
func load(prefixes []string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.mutant"))
	if err != nil || len(paths) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no files in %s: run it in the module's folder", folder))
	}
	var list []mutant
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".mutant")
		if len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no mutant begins with %s", strings.Join(prefixes, " or "))
	}
	return list, nil
}

// parse reads a mutant's file: see README.md.
func parse(name, text string) (mutant, error) {
	m := mutant{name: name}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	file := ""
	for i := 0; i < len(lines); i++ {
		if lines[i] == "<<<<" {
			middle, end := slices.Index(lines[i:], "===="), slices.Index(lines[i:], ">>>>")
			if file == "" || middle < 0 || end < middle {
				return m, fmt.Errorf("line %d: a patch is a file, <<<<, the old text, ====, the new text and >>>>", i+1)
			}
			m.patches = append(m.patches, patch{file, strings.Join(lines[i+1:i+middle], "\n"), strings.Join(lines[i+middle+1:i+end], "\n")})
			i += end
			continue
		}
		key, value, _ := strings.Cut(lines[i], ": ")
		switch key {
		case "row":
			m.row = value
		case "does":
			m.does = value
		case "expect":
			m.expect = strings.Fields(value)
		case "file":
			file = value
		case "test":
			m.test = strings.Fields(value)
			if len(m.test) != 2 {
				return m, fmt.Errorf("line %d: %q, want a package and a pattern", i+1, value)
			}
		case "seeds":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return m, fmt.Errorf("line %d: %q seeds, want a number from 1 on", i+1, value)
			}
			m.seeds = n
		default:
			return m, fmt.Errorf("line %d: %q is no row, does, expect, seeds, test or file", i+1, lines[i])
		}
	}
	if len(m.patches) == 0 || m.does == "" {
		return m, errors.New("it says not what it does, or plants nothing")
	}
	return m, nil
}

// try builds the checks with a mutant and runs them.
func try(m *mutant, seeds int, golden bool) (r result) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(dir)
	if err != nil {
		return result{err: err}
	}
	if m.test != nil {
		return m.tryTest(overlay)
	}
	probe := filepath.Join(dir, "probe")
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", probe, "./check/mutants/probe").CombinedOutput(); err != nil {
		return result{err: fmt.Errorf("it does not build: %s", oneLine(out))}
	}
	if m.seeds > 0 {
		seeds = min(seeds, m.seeds)
	}
	out, err := exec.Command(probe, "-seeds", strconv.Itoa(seeds)).CombinedOutput()
	if err != nil {
		return result{rule: "PANIC", where: "probe", what: oneLine(out)}
	}
	fields := strings.Split(strings.TrimRight(string(out), "\n"), "\t")
	if len(fields) != 4 {
		return result{err: fmt.Errorf("the probe says %s", oneLine(out))}
	}
	r = result{rule: fields[0], where: fields[1], seeds: fields[2], what: fields[3]}
	if r.rule == "none" && golden {
		out, err := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-run", "TestTraces", "./raft").CombinedOutput()
		if err != nil {
			r.rule, r.where, r.what = "GOLDEN", firstTrace(string(out)), oneLine(out)
		}
	}
	return r
}

// tryTest runs the tests that should see a mutant. They must run: a pattern without tests proves nothing.
func (m *mutant) tryTest(overlay string) result {
	pkg, pattern := m.test[0], m.test[1]
	out, err := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-v", "-run", pattern, pkg).CombinedOutput()
	r := result{rule: "none", where: pkg, what: oneLine(out)}
	switch text := string(out); {
	case strings.Contains(text, "--- FAIL") || strings.Contains(text, "panic:"):
		r.rule, r.where = "TEST", pkg+" "+pattern
		if _, failed, ok := strings.Cut(text, "--- FAIL"); ok {
			r.what = oneLine([]byte(failed))
		}
	case err != nil || !strings.Contains(text, "--- PASS"):
		r.err = fmt.Errorf("%s in %s did not run: %s", pattern, pkg, oneLine(out))
	}
	return r
}

// overlay writes the patched files into dir, and the overlay that go build wants.
func (m *mutant) overlay(dir string) (string, error) {
	changed := map[string]string{}
	for _, p := range m.patches {
		text, ok := changed[p.file]
		if !ok {
			b, err := os.ReadFile(p.file)
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, p.old); n != 1 {
			return "", fmt.Errorf("the old text occurs %d times in %s, want once: the code has changed", n, p.file)
		}
		changed[p.file] = strings.Replace(text, p.old, p.new, 1)
	}
	replace := map[string]string{}
	for file, text := range changed {
		from, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[from] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}

func firstTrace(out string) string {
	for line := range strings.SplitSeq(out, "\n") {
		if _, name, ok := strings.Cut(line, "--- FAIL: TestTraces/"); ok {
			return "trace " + strings.Fields(name)[0]
		}
	}
	return "traces"
}

// oneLine shortens what a program said.
func oneLine(out []byte) string {
	s := strings.Join(strings.Fields(string(out)), " ")
	return s[:min(len(s), 300)]
}
