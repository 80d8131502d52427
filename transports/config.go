package transports

import (
	"fmt"
	"time"
)

// DefaultMaxFrameBytes is the default of Config.MaxFrameBytes: room for raft's largest entry by default.
const DefaultMaxFrameBytes = 16 << 20

// WithDefaults returns the configuration with defaults in place of zeros, or an error that names the first value which
// is out of range.
func (c Config) WithDefaults() (Config, error) {
	setDefault(&c.MaxFrameBytes, DefaultMaxFrameBytes)
	setDefault(&c.OutboxBytes, max(64<<20, c.MaxFrameBytes+framePrefix))
	setDefault(&c.BackoffMin, time.Millisecond)
	setDefault(&c.BackoffMax, max(100*time.Millisecond, c.BackoffMin))
	setDefault(&c.Handshake, 3*time.Second)
	setDefault(&c.IdleTimeout, 10*time.Second)
	switch {
	case c.Self == 0:
		return c, fmt.Errorf("transports: Self is 0, want a replica's ID")
	case c.MaxFrameBytes < 0 || c.MaxFrameBytes > 1<<30:
		return c, fmt.Errorf("transports: MaxFrameBytes is %d, want 1 to %d", c.MaxFrameBytes, 1<<30)
	case c.OutboxBytes < c.MaxFrameBytes+framePrefix:
		return c, fmt.Errorf("transports: OutboxBytes is %d, want at least %d, a frame of MaxFrameBytes with its prefix",
			c.OutboxBytes, c.MaxFrameBytes+framePrefix)
	case c.BackoffMin < 0 || c.BackoffMin > c.BackoffMax:
		return c, fmt.Errorf("transports: BackoffMin is %v, want more than 0 and at most BackoffMax, which is %v", c.BackoffMin, c.BackoffMax)
	case c.Handshake < 0:
		return c, fmt.Errorf("transports: Handshake is %v, want more than 0", c.Handshake)
	case c.IdleTimeout < 0:
		return c, fmt.Errorf("transports: IdleTimeout is %v, want more than 0", c.IdleTimeout)
	}
	return c, nil
}

// OnHost calls f, which makes sockets, where the endpoint's belong.
func (c *Config) OnHost(f func() error) error {
	if c.Host == nil {
		return f()
	}
	return c.Host.In(f)
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
