package strategies_test

import (
	"fmt"

	"github.com/raftbench/raftbench/strategies"
)

func ExampleParse() {
	for _, text := range []string{
		"fast-signal",
		"fast-signal,apply=every(17ms)",
		"fast, send=batch(17, 1000us), commit=now",
		"fast-signal,commit=now", // another named strategy
		"fast,sedn=now",
		"fast,apply=window(8)",
	} {
		s, err := strategies.Parse(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(strategies.String(s))
	}
	// Output:
	// fast-signal
	// fast,commit=barrier,apply=every(17ms)
	// fast,send=batch(17,1ms)
	// fast-signal-commit
	// strategy "fast,sedn=now": unknown choice "sedn", did you mean send? Known: backup, send, commit, announce, apply, catch-up
	// strategy "fast,apply=window(8)": apply: gate window is for send only; apply takes now, ride, every(d), batch(n,hold), confirmed
}

func ExampleParseList() {
	list, err := strategies.ParseList("linear-loop,fast,send=batch(17,1ms),commit=now,eager")
	for _, s := range list {
		fmt.Println(strategies.String(s))
	}
	fmt.Println(err)
	// Output:
	// linear-loop
	// fast,send=batch(17,1ms)
	// eager
	// <nil>
}

func ExampleCross() {
	list, err := strategies.Cross(nil, strategies.Values{Backup: []string{"fast", "linear"}, Send: []string{"now", "ride"}, Commit: []string{"barrier"}})
	for _, s := range list {
		fmt.Println(strategies.String(s))
	}
	fmt.Println(err)
	// Output:
	// fast-signal
	// fast-loop
	// linear-signal
	// linear-loop
	// <nil>
}
