package raft_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports: the core is a deterministic state machine. It has no goroutine, no lock, no clock and no I/O, and so
// imports no more than this of the standard library, and uses of time only what has no clock in it.
func TestImports(t *testing.T) {
	allowed := []string{"encoding/binary", "errors", "fmt", "iter", "math", "math/rand/v2", "slices", "time"}
	ofTime := []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}
	ofRand := []string{"Rand", "New", "NewPCG"} // the package's own functions draw from a source without a seed
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) == 0 {
		t.Fatal("no source found", err)
	}
	files := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if name, _ := strconv.Unquote(i.Path.Value); !slices.Contains(allowed, name) || i.Name != nil {
				t.Errorf("%s: imports %v", files.Position(i.Pos()), i.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
				t.Errorf("%s: a goroutine or a channel", files.Position(n.Pos()))
			case *ast.SelectorExpr:
				pkg, _ := n.X.(*ast.Ident)
				if pkg != nil && (pkg.Name == "time" && !slices.Contains(ofTime, n.Sel.Name) ||
					pkg.Name == "rand" && !slices.Contains(ofRand, n.Sel.Name)) {
					t.Errorf("%s: %s.%s", files.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			case *ast.RangeStmt:
				// Ranging over a map has no fixed order. The types are not known here, only the one map there is.
				if x, ok := n.X.(*ast.SelectorExpr); ok && x.Sel.Name == "votes" && n.Key != nil && n.Key.(*ast.Ident).Name != "_" {
					t.Errorf("%s: depends on the order of a map", files.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
