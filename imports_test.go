// Package raftbench_test holds the tests of what is true of the whole repository: who may import whom, that packages are
// documented, and that the documents' commands and examples work. There is no other code at this level.
package raftbench_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/raftbench/raftbench/"

// mayImport says which packages of this repository a package may import, tests aside. A rule for a/... holds for every
// package below a, and gives it a and all below a as well.
var mayImport = map[string]string{
	"raft":                "", // and of the standard library no network, file or lock: see noClock
	"strategies":          "raft internal/nearest",
	"transports":          "raft",
	"transports/...":      "raft",
	"storage":             "raft",
	"storage/...":         "raft",
	"cluster":             "raft storage transports",
	"cluster/live":        "cluster netem/emulate raft storage storage/mem transports internal/wakeup",
	"cluster/sim":         "cluster netem raft storage storage/mem transports",
	"cluster/...":         "cluster raft strategies",
	"netem":               "raft internal/nearest",
	"netem/emulate":       "netem raft internal/wakeup",
	"engines":             "cluster raft storage storage/mem transports internal/wakeup",
	"engines/conformance": "cluster cluster/live engines raft storage storage/wal strategies",
	"engines/...":         "cluster raft storage transports internal/wakeup",
	"results":             "",
	"reports":             "internal/units results",
	"bench":               "cluster engines internal/units raft results check",
	"check":               "cluster cluster/sim netem raft storage strategies transports",
	"check/...":           "bench cluster cluster/live cluster/sim netem raft results strategies transports transports/mem",
	"lab":                 "cluster raft results storage transports",
	"explain":             "bench cluster cluster/sim raft results transports",
	"internal/...":        "",
	"examples/...":        "raft",
	"cmd/raftbench":       "*",
}

// libraries says where a library may be imported, tests aside: everything else is free of it.
var libraries = map[string]string{
	"github.com/HdrHistogram/hdrhistogram-go": "results",
	"github.com/anishathalye/porcupine":       "check",
	"github.com/cespare/xxhash/v2":            "check cluster",
	"github.com/dustin/go-humanize":           "cmd/raftbench",
	"github.com/hashicorp/go-hclog":           "engines/hashicorp",
	"github.com/hashicorp/raft":               "engines/hashicorp",
	"github.com/hashicorp/raft-boltdb/v2":     "engines/hashicorp",
	"github.com/olekukonko/tablewriter":       "cmd/raftbench reports",
	"github.com/quic-go/quic-go":              "transports/quic",
	"github.com/rogpeppe/go-internal":         "", // tests alone
	"github.com/schollz/progressbar/v3":       "cmd/raftbench",
	"github.com/urfave/cli/v2":                "cmd/raftbench",
	"go.etcd.io/bbolt":                        "engines/hashicorp storage/bbolt",
	"go.etcd.io/raft/v3":                      "engines/etcd",
	"github.com/vishvananda/netlink":          "netem/emulate",
	"go.uber.org/goleak":                      "storage/conformance transports/conformance",
	"golang.org/x/sys":                        "internal/wakeup netem/emulate storage/internal/files storage/probe",
	"golang.org/x/term":                       "cmd/raftbench",
	"google.golang.org/protobuf":              "engines/etcd",
}

// noClock is what the core must do without, and a strategy.
var noClock = regexp.MustCompile(`^(net|os|sync|syscall|context|log|runtime|io/fs|crypto/rand)(/|$)`)

// source is one file that is no test.
type source struct {
	path    string
	dir     string // slashes; "" at the root
	imports []string
	doc     string
	name    string // of the package
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{path: path, dir: filepath.ToSlash(filepath.Dir(path)), doc: file.Doc.Text(), name: file.Name.Name}
		for _, spec := range file.Imports {
			s.imports = append(s.imports, strings.Trim(spec.Path.Value, `"`))
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// rule returns the packages that dir may import, and which rule says so.
func rule(dir string) (list []string, name string, ok bool) {
	if names, ok := mayImport[dir]; ok {
		return strings.Fields(names), dir, true
	}
	for up := dir; strings.Contains(up, "/"); {
		up = up[:strings.LastIndex(up, "/")]
		if names, ok := mayImport[up+"/..."]; ok {
			return append(strings.Fields(names), up, up+"/"), up + "/...", true
		}
	}
	return nil, "", false
}

// allows reports whether a permission covers a package.
func allows(permission, path string) bool {
	return permission == "*" || permission == path || strings.HasSuffix(permission, "/") && strings.HasPrefix(path, permission)
}

// within reports whether a folder is another or below it.
func within(dir, where string) bool { return dir == where || strings.HasPrefix(dir, where+"/") }

// unused lists the permissions of both tables that no file needs, so that they go when their reason goes.
func unused(list []source, mayImport, libraries map[string]string) []string {
	needed := map[string][]string{}   // imports, by rule
	imported := map[string][]string{} // folders, by library
	for _, s := range list {
		_, name, _ := rule(s.dir)
		for _, path := range s.imports {
			if own, ok := strings.CutPrefix(path, module); ok {
				needed[name] = append(needed[name], own)
			}
			for library := range libraries {
				if within(path, library) {
					imported[library] = append(imported[library], s.dir)
				}
			}
		}
	}
	var found []string
	for name, permissions := range mayImport {
		for _, p := range strings.Fields(permissions) {
			if !slices.ContainsFunc(needed[name], func(path string) bool { return allows(p, path) }) {
				found = append(found, fmt.Sprintf("%s may import %s, and does not", name, p))
			}
		}
	}
	for library, where := range libraries {
		for _, w := range strings.Fields(where) {
			if !slices.ContainsFunc(imported[library], func(dir string) bool { return within(dir, w) }) {
				found = append(found, fmt.Sprintf("%s may import %s, and does not", w, library))
			}
		}
	}
	slices.Sort(found)
	return found
}

// TestNoUnusedPermissions: what nobody needs is not allowed.
func TestNoUnusedPermissions(t *testing.T) {
	list := sources(t)
	for _, text := range unused(list, mayImport, libraries) {
		t.Errorf("%s: take that out of this file's table, and of ARCHITECTURE.md", text)
	}
	// Planted, it is found.
	planted := maps.Clone(mayImport)
	planted["reports"] += " bench"
	shelf := maps.Clone(libraries)
	shelf["golang.org/x/term"] += " raft"
	if got := unused(list, planted, shelf); !slices.Contains(got, "reports may import bench, and does not") || !slices.Contains(got, "raft may import golang.org/x/term, and does not") {
		t.Errorf("planted permissions are not found: %q", got)
	}
}

// TestWhoImportsWhom keeps the rooms apart, as ARCHITECTURE.md says.
func TestWhoImportsWhom(t *testing.T) {
	for _, s := range sources(t) {
		allowed, _, ok := rule(s.dir)
		if !ok {
			t.Errorf("%s: no rule says whom %s may import: add one to mayImport, and a line to ARCHITECTURE.md", s.path, s.dir)
			continue
		}
		for _, path := range s.imports {
			if own, ok := strings.CutPrefix(path, module); ok {
				if !slices.ContainsFunc(allowed, func(a string) bool { return allows(a, own) }) {
					t.Errorf("%s: %s may not import %s", s.path, s.dir, own)
				}
				continue
			}
			if (s.dir == "raft" || s.dir == "strategies") && noClock.MatchString(path) && path != "sync" {
				t.Errorf("%s: %s may not import %s", s.path, s.dir, path)
			}
			if s.dir == "raft" && path == "sync" {
				t.Errorf("%s: the core has no lock", s.path)
			}
			for library, where := range libraries {
				if !within(path, library) {
					continue
				}
				if !slices.ContainsFunc(strings.Fields(where), func(w string) bool { return within(s.dir, w) }) {
					t.Errorf("%s: %s may only be imported in %q", s.path, library, where)
				}
			}
			if s.dir == "raft" && strings.Contains(path, ".") {
				t.Errorf("%s: the core imports the standard library alone, not %s", s.path, path)
			}
		}
	}
}

// TestDependencies: every library that go.mod names directly has its place above and its reason in ARCHITECTURE.md.
func TestDependencies(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	architecture, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.Contains(words[0], ".") || !strings.HasPrefix(words[1], "v") {
			continue // not a direct requirement
		}
		if _, ok := libraries[words[0]]; !ok {
			t.Errorf("%s has no line in libraries", words[0])
		}
		if !strings.Contains(string(architecture), "`"+words[0]+"`") {
			t.Errorf("ARCHITECTURE.md does not say why %s is there", words[0])
		}
	}
}

// TestPackagesAreDocumented: every package has one doc comment, of more than a sentence, that also says what it does not
// do.
func TestPackagesAreDocumented(t *testing.T) {
	docs := map[string][]source{}
	names := map[string]string{}
	for _, s := range sources(t) {
		names[s.dir] = s.name
		if s.doc != "" {
			docs[s.dir] = append(docs[s.dir], s)
		}
	}
	limits := regexp.MustCompile(`\b(not|no|nothing|nobody|neither|never|without|nor)\b`)
	for dir, name := range names {
		switch list := docs[dir]; {
		case len(list) == 0:
			t.Errorf("%s has no doc comment", dir)
		case len(list) > 1:
			t.Errorf("%s has %d doc comments: in %s and %s", dir, len(list), list[0].path, list[1].path)
		case name != "main" && !strings.HasPrefix(list[0].doc, "Package "+name+" "):
			t.Errorf("%s: the doc comment begins with %q", list[0].path, firstLine(list[0].doc))
		case name == "main" && !strings.HasPrefix(list[0].doc, "Command "):
			t.Errorf("%s: the doc comment begins with %q", list[0].path, firstLine(list[0].doc))
		case !limits.MatchString(list[0].doc):
			t.Errorf("%s: the doc comment does not say what the package does not do", list[0].path)
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
