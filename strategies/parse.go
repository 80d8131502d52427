package strategies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// Parse reads a strategy: the name of a named one or of a backup, then choices that differ, as in
//
//	fast-signal
//	fast,send=batch(8,1ms),commit=now
//	fast-signal,apply=every(10ms)
//
// A backup's name alone stands for send=now, commit=now, announce=ride, apply=now, catch-up=log. Spaces around the parts are allowed.
// If the choices are those of a named strategy the result is that one, with its name and sentence, however it was
// written; otherwise it has neither. Errors are one line.
func Parse(text string) (raft.Strategy, error) {
	bad := func(err error) (raft.Strategy, error) {
		return raft.Strategy{}, fmt.Errorf("strategy %s: %w", nearest.Quote(text), err)
	}
	parts, err := Split(text)
	if err != nil {
		return bad(err)
	}
	s, isBackup, err := start(parts[0])
	if err != nil {
		return raft.Strategy{}, err
	}
	seen := map[string]bool{AxisBackup: isBackup}
	for _, part := range parts[1:] {
		axis, value, ok := strings.Cut(part, "=")
		axis, value = strings.TrimSpace(axis), strings.TrimSpace(value)
		switch {
		case !ok:
			return bad(fmt.Errorf("%s is not a choice; a choice is written %s=now, with one of %s", nearest.Quote(part), AxisSend, strings.Join(Axes(), ", ")))
		case !slices.Contains(Axes(), axis):
			return bad(errors.New(nearest.Unknown("choice", axis, Axes())))
		case seen[axis]:
			return bad(fmt.Errorf("%s is given twice; give it once", axis))
		}
		seen[axis] = true
		if err := choose(&s, axis, value); err != nil {
			return bad(err)
		}
	}
	return withName(s), nil
}

// start returns the strategy that a text begins with, and whether the word is a backup.
func start(word string) (s raft.Strategy, isBackup bool, err error) {
	if strings.Contains(word, "=") {
		return s, false, fmt.Errorf("choice %s has no strategy before it; begin with a named strategy or a backup, as in fast,send=now", nearest.Quote(word))
	}
	// Backups first: the named strategy of the same name is the same point.
	if k := findBackup(word); k != nil {
		s = standard()
		s.Backup = k.backup
		return s, true, nil
	}
	var known []string
	for _, n := range named() {
		if n.Name == word {
			return n, false, nil
		}
		known = append(known, n.Name)
	}
	for _, name := range backupNames() {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	return s, false, errors.New(nearest.Unknown("strategy", word, known))
}

// choose sets one of the choices from its text.
func choose(s *raft.Strategy, axis, value string) error {
	if axis == AxisBackup {
		b, err := parseBackup(value)
		s.Backup = b
		return err
	}
	if axis == AxisCatchUp {
		c, err := parseCatchUp(value)
		s.CatchUp = c
		return err
	}
	g, err := parseGate(axis, value)
	if err != nil {
		return fmt.Errorf("%s: %w", axis, err)
	}
	*gateAt(s, axis) = g
	return nil
}

// withName gives s the name and the sentence that its choices have, or none.
func withName(s raft.Strategy) raft.Strategy {
	if n, ok := sameAs(s, named()); ok {
		return n
	}
	s.Name, s.Doc = "", ""
	return s
}

// ParseList reads strategies with commas between them, as in linear-loop,fast,send=batch(8,1ms),commit=now,eager: a
// part with a = belongs to the strategy before it. Of strategies that make the same choices the first stays.
func ParseList(text string) ([]raft.Strategy, error) {
	parts, err := Split(text)
	if err != nil {
		return nil, fmt.Errorf("strategies %s: %w", nearest.Quote(text), err)
	}
	var texts []string
	for _, part := range parts {
		if n := len(texts); n > 0 && strings.Contains(part, "=") {
			texts[n-1] += "," + part
		} else {
			texts = append(texts, part)
		}
	}
	var list []raft.Strategy
	for _, t := range texts {
		s, err := Parse(t)
		if err != nil {
			return nil, err
		}
		if _, twice := sameAs(s, list); !twice {
			list = append(list, s)
		}
	}
	return list, nil
}

// Split takes a list apart at its commas, but not within parentheses: now,batch(8,1ms) has two parts. Spaces around a
// part are cut. An empty list and an empty part are errors, which leave it to the caller to say of what.
func Split(text string) ([]string, error) {
	var parts []string
	depth, begin := 0, 0
	add := func(end int) error {
		part := strings.TrimSpace(text[begin:end])
		if part == "" {
			return fmt.Errorf("part %d between commas is empty", len(parts)+1)
		}
		parts = append(parts, part)
		begin = end + 1
		return nil
	}
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
			if depth < 0 {
				return nil, errors.New("a parenthesis is closed that was not opened")
			}
		case ',':
			if depth == 0 {
				if err := add(i); err != nil {
					return nil, err
				}
			}
		}
	}
	if depth > 0 {
		return nil, errors.New("a parenthesis is not closed")
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("is empty: want a name, such as eager, or choices, such as fast,send=ride")
	}
	if err := add(len(text)); err != nil {
		return nil, err
	}
	return parts, nil
}
