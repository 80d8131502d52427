package results

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func labTrial() Trial {
	return Trial{Status: OK, Lab: &Lab{Total: 10, Own: 1, Elections: 2, Agreements: 3, Stale: 4, Each: []time.Duration{3}, Vain: 1, StaleWaits: 1}}
}

func TestCheckOfLab(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Lab)
	}{
		{"", func(*Lab) {}},
		{"the parts add up to 10ns, the total is 11ns", func(l *Lab) { l.Total++ }},
		{"a part is negative", func(l *Lab) { l.Own, l.Stale = -1, 6 }},
		{"2 waits for stale leaders among 1 in vain", func(l *Lab) { l.StaleWaits++ }},
	} {
		trial := labTrial()
		c.change(trial.Lab)
		err := trial.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
		trial.Status = Invalid
		if err := trial.Check(); err != nil {
			t.Errorf("a test that failed is judged: %v", err)
		}
	}
}

func TestLabInTheRunFile(t *testing.T) {
	want := labTrial()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Trial
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got.Lab, want.Lab)
	}
}

func TestMedianAndMeanOfLab(t *testing.T) {
	l := Lab{Each: []time.Duration{9, 1, 4, 2}}
	if m, ok := l.Median(); !ok || m != 2 {
		t.Errorf("median %v, want the lower one in the middle, 2", m)
	}
	if m, ok := l.Mean(); !ok || m != 4 {
		t.Errorf("mean %v, want 4", m)
	}
	if _, ok := (&Lab{}).Median(); ok {
		t.Error("a median of nothing")
	}
}
