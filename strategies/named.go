package strategies

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// namedFiles holds the named strategies: the table of this extension point is the folder.
//
//go:embed named/*.strategy
var namedFiles embed.FS

// named returns the named strategies in the order of List. A broken file is a mistake in what was built, which the
// tests find: it panics.
var named = sync.OnceValue(func() []raft.Strategy {
	texts := map[string]string{}
	files, err := namedFiles.ReadDir("named")
	for _, f := range files {
		text, e := namedFiles.ReadFile("named/" + f.Name())
		if e != nil {
			err = e
		}
		texts[f.Name()] = string(text)
	}
	list := []raft.Strategy(nil)
	if err == nil {
		list, err = readNamed(texts)
	}
	if err != nil {
		panic("strategies: " + err.Error())
	}
	return list
})

// readNamed reads the files of named strategies, given by file name, and puts them in order.
func readNamed(texts map[string]string) ([]raft.Strategy, error) {
	type ordered struct {
		raft.Strategy
		order int
	}
	var all []ordered
	for file, text := range texts {
		s, order, err := readStrategy(strings.TrimSuffix(file, ".strategy"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, ordered{s, order})
	}
	slices.SortFunc(all, func(a, b ordered) int {
		if a.order != b.order {
			return a.order - b.order
		}
		return strings.Compare(a.Name, b.Name)
	})
	var list []raft.Strategy
	for _, s := range all {
		if twin, ok := sameAs(s.Strategy, list); ok {
			return nil, fmt.Errorf("%s and %s make the same choices, %s: one point of the space has one name", twin.Name, s.Name, describe(twin))
		}
		list = append(list, s.Strategy)
	}
	return list, nil
}

// lastOrder is the place in the list of a strategy that asks for none.
const lastOrder = 1_000_000

// readStrategy reads one file: lines of "key: value", empty lines, and comments that begin with #. The keys are doc,
// the choices, and order; that and catch-up may be missing.
func readStrategy(name, text string) (s raft.Strategy, order int, err error) {
	if ok, _ := regexp.MatchString(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`, name); !ok {
		return s, 0, fmt.Errorf("the name %s is not made of small letters and digits, with hyphens between", nearest.Quote(name))
	}
	s, order = raft.Strategy{Name: name, CatchUp: LogFirst{}}, lastOrder
	seen := map[string]bool{}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok || value == "":
			err = fmt.Errorf("%s is not of the form key: value", nearest.Quote(line))
		case seen[key]:
			err = fmt.Errorf("%s is given twice", key)
		case key == "doc":
			s.Doc = value
		case key == "order":
			if order, err = strconv.Atoi(value); err != nil || order < 0 || order > lastOrder {
				err = fmt.Errorf("order is %s, want a whole number from 0 to %d", nearest.Quote(value), lastOrder)
			}
		case slices.Contains(Axes(), key):
			err = choose(&s, key, value)
		default:
			err = fmt.Errorf("%s", nearest.Unknown("key", key, append(Axes(), "doc", "order")))
		}
		if err != nil {
			return s, 0, fmt.Errorf("line %d: %w", n+1, err)
		}
		seen[key] = true
	}
	for _, key := range append(Axes(), "doc") {
		if !seen[key] && key != AxisCatchUp {
			return s, 0, fmt.Errorf("%s is missing", key)
		}
	}
	// A backup's name alone stands for the backup with the standard gates, so it may not name anything else.
	if findBackup(name) != nil && describe(s) != name {
		return s, 0, fmt.Errorf("%s is the name of a backup, so its choices must be those that the backup alone stands for, not %s", name, describe(s))
	}
	return s, order, nil
}
