package raftbench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// block is a fenced block of code in a document.
type block struct {
	language string
	file     string // of "file=PATH" behind the language
	section  string // the heading that it stands below
	lines    []string
	line     int // of the document
}

// blocks returns a document's fenced blocks.
func blocks(t *testing.T, document string) []block {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var list []block
	var open *block
	section := ""
	for i, line := range strings.Split(string(text), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case open == nil && strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		case fence && open == nil:
			words := append(strings.Fields(info), "", "")
			open = &block{language: words[0], file: strings.TrimPrefix(words[1], "file="), section: section, line: i + 1}
		case fence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a block that does not end", document, open.line)
	}
	return list
}

func (b *block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// build builds the command of the repository at root, and returns a folder that holds it.
func build(t *testing.T, root string) string {
	t.Helper()
	bin := t.TempDir()
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/raftbench")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// shell runs a command line as a reader would, in a folder, with the command in the path.
func shell(t *testing.T, dir, bin, line string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestContributing follows CONTRIBUTING.md in a copy of the repository: it adds everything that the examples add,
// section by section, runs the tests of the packages that each section changes, as they are after it and while the next
// ones are added, and runs the commands that show what was added.
func TestContributing(t *testing.T) {
	root := t.TempDir()
	copyRepository(t, ".", root)
	all := blocks(t, "CONTRIBUTING.md")
	added := 0
	var changed []string // packages
	var tests sync.WaitGroup
	defer tests.Wait()
	for i, b := range all {
		if b.file != "" {
			add(t, root, &b)
			added++
			if p := packageOf(t, root, b.file); !slices.Contains(changed, p) {
				changed = append(changed, p)
			}
		}
		if last := i == len(all)-1 || all[i+1].section != b.section; last && len(changed) > 0 {
			startTests(t, &tests, root, b.section, changed)
			changed = nil
		}
	}
	if added < 10 {
		t.Fatalf("only %d examples were found", added)
	}
	if out := shell(t, root, "", "gofmt -l $(find . -name '*.go' -newer go.mod)"); out != "" {
		t.Errorf("not as gofmt has it: %s", out)
	}
	bin := build(t, root)
	tests.Wait() // the commands below have the machine to themselves
	ran := 0
	for _, b := range all {
		if b.language != "sh" {
			continue
		}
		for _, line := range b.lines {
			if strings.HasPrefix(line, "raftbench ") || strings.HasPrefix(line, "go test ./") {
				out := shell(t, root, bin, line)
				if name := "patient"; line == "raftbench list strategies" && !strings.Contains(out, "\n"+name+" ") {
					t.Errorf("%s does not list %s:\n%s", line, name, out)
				}
				ran++
			}
		}
	}
	if ran < 8 {
		t.Fatalf("only %d commands were found", ran)
	}
}

// startTests builds the tests of some packages of the repository at root, as they are now, and starts them.
func startTests(t *testing.T, tests *sync.WaitGroup, root, section string, packages []string) {
	t.Helper()
	t.Logf("%s: the tests of %s", section, strings.Join(packages, " "))
	bin, list := t.TempDir(), strings.Join(packages, " ")
	shell(t, root, "", fmt.Sprintf("go vet %s && go test -c -o %s %s", list, bin, list))
	for _, p := range packages {
		program := filepath.Join(bin, filepath.Base(p)+".test")
		if _, err := os.Stat(program); err != nil {
			continue // it has no tests of its own
		}
		tests.Go(func() { shell(t, filepath.Join(root, p), "", program+" -test.timeout=10m") })
	}
}

// add adds what an example adds.
func add(t *testing.T, root string, b *block) {
	t.Helper()
	path := filepath.Join(root, b.file)
	if b.language == "diff" {
		edit(t, path, b)
		return
	}
	if _, err := os.Stat(path); err == nil {
		t.Errorf("line %d: %s is there already", b.line, b.file)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.text()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packageOf returns the package that a file belongs to: that of its folder, or of the nearest folder above with Go
// files, which embeds it.
func packageOf(t *testing.T, root, file string) string {
	t.Helper()
	for dir := filepath.Dir(file); dir != "."; dir = filepath.Dir(dir) {
		if sources, err := filepath.Glob(filepath.Join(root, dir, "*.go")); err == nil && len(sources) > 0 {
			return "./" + filepath.ToSlash(dir)
		}
	}
	t.Fatalf("%s belongs to no package", file)
	return ""
}

// copyRepository copies all files but what runs have left.
func copyRepository(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "raftbench-results" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// edit changes a file as a small diff says: the lines with a space or a minus must be there, once, in this order.
func edit(t *testing.T, path string, b *block) {
	t.Helper()
	var before, after []string
	for _, line := range b.lines {
		switch line[0] {
		case '-':
			before = append(before, line[1:])
		case '+':
			after = append(after, line[1:])
		default:
			before, after = append(before, line[1:]), append(after, line[1:])
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Join(before, "\n") + "\n"
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("CONTRIBUTING.md:%d: %q is in %s %d times, want once", b.line, old, b.file, n)
	}
	changed := strings.Replace(string(text), old, strings.Join(after, "\n")+"\n", 1)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The commands of the README that a test cannot run in seconds are run as plans, or with less of the same.
var shortened = []struct{ pattern, with string }{
	{`^(raftbench run matrix\b.*--(?:clock virtual|dry-run)\b.*)$`, "$1"},
	{`^(raftbench run matrix\b.*)$`, "$1 --dry-run"},
	{`^(raftbench run lab2b\b.*--clock virtual.*)$`, "$1 --repeat 1"},
	{`^(raftbench run lab2b\b)(.*)$`, "$1$2 --test BasicAgree --strategy eager --repeat 1"},
	{`^(raftbench check\b)(.*)--seeds \d+(.*)$`, "$1$2--seeds 5$3"},
	{`^(raftbench report) raftbench-results/\S+(.*)$`, "$1 raftbench-results/*$2"},
}

// TestReadmeCommands runs the commands that the README and ARCHITECTURE.md show.
func TestReadmeCommands(t *testing.T) {
	bin := build(t, ".")
	dir := t.TempDir()
	shell(t, dir, bin, "raftbench run matrix --quick --strategy eager,fast-signal --scenario steady --transport mem")
	ran := 0
	for _, document := range []string{"README.md", "ARCHITECTURE.md"} {
		for _, b := range blocks(t, document) {
			if b.language != "sh" {
				continue
			}
			for _, line := range b.lines {
				line = strings.TrimPrefix(line, "go run ./cmd/")
				line, _, _ = strings.Cut(line, "  #")
				line = strings.TrimSpace(line)
				if !strings.HasPrefix(line, "raftbench ") {
					continue
				}
				for _, s := range shortened {
					if r := regexp.MustCompile(s.pattern); r.MatchString(line) {
						line = r.ReplaceAllString(line, s.with)
						break
					}
				}
				t.Logf("%s:%d: %s", document, b.line, line)
				shell(t, dir, bin, line)
				ran++
			}
		}
	}
	if ran < 10 {
		t.Fatalf("only %d commands were found", ran)
	}
}

// TestCommandsAreTheSame: whoever follows the README does what CI does.
func TestCommandsAreTheSame(t *testing.T) {
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go test -race ./...", "go run ./cmd/raftbench run matrix"} {
		shown := slices.ContainsFunc(blocks(t, "README.md"), func(b block) bool { return slices.Contains(b.lines, command) })
		if !shown {
			t.Errorf("the README does not show %q as a command of its own", command)
		}
		if !regexp.MustCompile(`(?m)^step .*` + regexp.QuoteMeta(command) + `( --quick.*)?$`).Match(ci) {
			t.Errorf(".ci/run does not run %q", command)
		}
	}
}

// TestLinks: what the documents link to is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob("docs/*.md")
	for _, document := range append(documents, more...) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", document, m[1])
			}
		}
	}
}

// TestNamedFiles: files, folders and functions that ARCHITECTURE.md names by path exist.
func TestNamedFiles(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_.-]+)*(?:\\.go|/))`(?:: `([^`]+)`)?")
	found := 0
	for _, m := range path.FindAllStringSubmatch(string(text), -1) {
		found++
		content, err := os.ReadFile(m[1])
		if _, statErr := os.Stat(m[1]); statErr != nil {
			t.Errorf("ARCHITECTURE.md names %s, which is not there", m[1])
			continue
		}
		if m[2] == "" || err != nil {
			continue
		}
		for _, name := range strings.Split(m[2], ", ") {
			if !declares(content, name) {
				t.Errorf("ARCHITECTURE.md names %s in %s, which is not there", name, m[1])
			}
		}
	}
	if found < 20 {
		t.Fatalf("only %d names were found: %s", found, fmt.Sprint(path))
	}
}

// declares reports whether a Go file declares a name: a method, written as Type.method, a function, or a type, a
// variable or a constant of the package.
func declares(file []byte, name string) bool {
	pattern := `(?m)^(func|type|var|const) ` + name + `\b`
	if of, method, ok := strings.Cut(name, "."); ok {
		pattern = `(?m)^func \(\w+ \*?` + of + `\) ` + method + `\b`
	}
	return regexp.MustCompile(pattern).Match(file)
}

// TestNamedTests: tests that the documents name exist.
func TestNamedTests(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Benchmark|Fuzz|Example)[A-Z]\\w+)`")
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		documents, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			text, err := os.ReadFile(document)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				if !declares([]byte(code.String()), m[1]) {
					t.Errorf("%s names %s, which is not there", document, m[1])
				}
			}
		}
	}
}
