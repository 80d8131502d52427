package wakeup

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// precise is a timerfd that is read through Go's poller.
type precise struct {
	file *os.File
	conn syscall.RawConn
	buf  [8]byte // of Wait: how often it fired

	arm   func(fd uintptr) // made once, so that Set allocates nothing
	after atomic.Int64     // its argument, ns
}

func newPrecise() (clock, bool) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, false
	}
	p := &precise{file: os.NewFile(uintptr(fd), "timer")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, false
	}
	p.arm = func(fd uintptr) {
		value := unix.ItimerSpec{Value: unix.NsecToTimespec(p.after.Load())}
		unix.TimerfdSettime(int(fd), 0, &value, nil) // cannot fail: the descriptor and the value are good
	}
	return p, true
}

// Set is called by one goroutine at a time, or the later of two calls may take the earlier's time; so it is with any
// timer.
func (p *precise) Set(d time.Duration) {
	p.after.Store(int64(max(d, 1))) // 0 would disarm it
	p.conn.Control(p.arm)           // an error says that it is closed
}

func (p *precise) Wait() bool {
	_, err := p.file.Read(p.buf[:])
	return err == nil
}

func (p *precise) Close() { p.file.Close() }
