package transports

import (
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	got, err := Config{Self: 1}.WithDefaults()
	want := Config{Self: 1, MaxFrameBytes: 16 << 20, OutboxBytes: 64 << 20, BackoffMin: time.Millisecond,
		BackoffMax: 100 * time.Millisecond, Handshake: 3 * time.Second, IdleTimeout: 10 * time.Second}
	if err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	if again, err := got.WithDefaults(); err != nil || again != got {
		t.Errorf("a second time: %+v, error %v", again, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"Self is 0":              {},
		"MaxFrameBytes is -1":    {Self: 1, MaxFrameBytes: -1},
		"MaxFrameBytes is 2":     {Self: 1, MaxFrameBytes: 2 << 30},
		"OutboxBytes is 100":     {Self: 1, OutboxBytes: 100},
		"BackoffMin is 1s":       {Self: 1, BackoffMin: time.Second, BackoffMax: time.Millisecond},
		"Handshake is -1ns":      {Self: 1, Handshake: -1},
		"IdleTimeout is -1ns":    {Self: 1, IdleTimeout: -1},
		"BackoffMin is -1ns":     {Self: 1, BackoffMin: -1},
		"OutboxBytes is 5, want": {Self: 1, OutboxBytes: 5, MaxFrameBytes: 2},
	} {
		if _, err := c.WithDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, want)
		}
	}
}
