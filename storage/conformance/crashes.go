package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/storage/internal/faults"
)

// calls is how many random calls a life has; some are a step of the disk, some ten.
const calls = 30

func (k *Kind) on(disk *faults.Disk) opener {
	return func(o storage.Options) (storage.Storage, error) {
		dir, err := disk.Open()
		if err != nil {
			return nil, err
		}
		return k.OpenOn(dir, o)
	}
}

// eachWay runs a test with and without group commit.
func eachWay(t *testing.T, run func(t *testing.T, each bool)) {
	for _, each := range []bool{false, true} {
		t.Run(fmt.Sprintf("each=%v", each), func(t *testing.T) { run(t, each) })
	}
}

// survivesCrashes crashes at the first step, the second and so on, until a life comes to its end; and again, at random
// steps, in what follows.
func survivesCrashes(t *testing.T, kind *Kind) {
	eachWay(t, func(t *testing.T, each bool) {
		for loss := range faults.Loss(faults.LossKinds) {
			for seed := range seeds() {
				lives, err := crashAtEach(kind, each, loss, seed)
				if err != nil {
					t.Fatalf("seed %d, loss %d: %v", seed, loss, err)
				}
				if lives < calls {
					t.Errorf("seed %d: only %d steps in %d calls", seed, lives, calls)
				}
			}
		}
	})
}

// seeds is how often each step is tried, with other random calls.
func seeds() uint64 {
	if testing.Short() {
		return 1
	}
	return 4
}

func crashAtEach(kind *Kind, each bool, loss faults.Loss, seed uint64) (lives int, err error) {
	for at := 1; ; at++ {
		crashed, err := crash(kind, each, loss, at, seed)
		if err != nil {
			return lives, fmt.Errorf("crash at step %d: %w", at, err)
		}
		if !crashed {
			return lives, nil
		}
		lives++
	}
}

func crash(kind *Kind, each bool, loss faults.Loss, at int, seed uint64) (crashed bool, err error) {
	random := rand.New(rand.NewPCG(uint64(at), seed<<8|uint64(loss)))
	h, disk, acked := newHistory(), faults.NewDisk(), uint64(0)
	disk.CrashAt = at
	for generation := range 5 {
		s, _, err := begin(kind.on(disk), each, h, acked, random)
		if err == nil {
			err = s.play(calls / (1 + generation))
			var end error
			if acked, end = s.end(); err == nil || errors.Is(end, errBroken) {
				err = end
			}
		}
		switch {
		case disk.Crashed() && !errors.Is(err, errBroken):
			crashed = true
		case err != nil:
			return crashed, fmt.Errorf("life %d: %w", generation, err)
		case generation == 0:
			return false, nil
		}
		if generation < 3 && random.IntN(3) == 0 {
			disk = disk.Kill()
		} else {
			disk = disk.Reboot(loss, random)
		}
		if generation < 3 {
			disk.CrashAt = 1 + random.IntN(60)
		}
	}
	return crashed, nil
}

// survivesKills kills the process at each step, and has the machine crash at each of the first steps of the next one:
// it finds what nobody has synced, and must not rely on it.
func survivesKills(t *testing.T, kind *Kind) {
	const recovery = 8 // steps
	for _, loss := range []faults.Loss{faults.LoseAll, faults.LoseTail, faults.Reorder} {
		for second := 1; second <= recovery; second++ {
			for at, killed := 1, true; killed; at++ {
				var err error
				if killed, err = killThenCrash(kind, loss, at, second); err != nil {
					t.Fatalf("killed at step %d, crash at step %d, loss %d: %v", at, second, loss, err)
				}
			}
		}
	}
}

func killThenCrash(kind *Kind, loss faults.Loss, at, second int) (killed bool, err error) {
	random := rand.New(rand.NewPCG(uint64(at), uint64(second)<<8|uint64(loss)))
	h, disk, acked := newHistory(), faults.NewDisk(), uint64(0)
	disk.CrashAt = at
	for life := range 3 {
		s, _, err := begin(kind.on(disk), false, h, acked, random)
		if err == nil {
			err = s.play(calls)
			var end error
			if acked, end = s.end(); err == nil || errors.Is(end, errBroken) {
				err = end
			}
		}
		switch crashed := disk.Crashed(); {
		case err != nil && (!crashed || errors.Is(err, errBroken)):
			return true, fmt.Errorf("life %d: %w", life, err)
		case life == 0 && !crashed:
			return false, nil
		case life == 0:
			disk = disk.Kill()
			disk.CrashAt = second
		default:
			disk = disk.Reboot(loss, random)
		}
	}
	return true, nil
}

// stopsAtFailures has the first step fail, the second and so on. The step after it works again: a storage that goes on
// would acknowledge what is lost.
func stopsAtFailures(t *testing.T, kind *Kind) {
	eachWay(t, func(t *testing.T, each bool) {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
			for at := 1; ; at++ {
				failed, err := fail(kind, each, cause, at)
				if err != nil {
					t.Fatalf("%v at step %d: %v", cause, at, err)
				}
				if !failed {
					break
				}
			}
		}
	})
}

func fail(kind *Kind, each bool, cause error, at int) (failed bool, err error) {
	random := rand.New(rand.NewPCG(uint64(at), 1))
	h, disk, acked := newHistory(), faults.NewDisk(), uint64(0)
	disk.FailAt, disk.FailWith = at, cause
	s, _, err := begin(kind.on(disk), each, h, acked, random)
	if err == nil {
		err = s.play(calls)
		s.mu.Lock()
		stopped := s.failure != nil
		s.mu.Unlock()
		if stopped { // go on all the same: nothing may be acknowledged now
			s.randomSave()
			s.randomSave()
		}
		var end error
		acked, end = s.end()
		if errors.Is(end, errBroken) || err == nil {
			err = end
		}
	}
	switch {
	case errors.Is(err, errBroken), err != nil && !errors.Is(err, cause):
		return false, err
	case err == nil && disk.Steps() >= at && !disk.FailedRemoval():
		return false, errors.New("nobody was told")
	}
	failed = disk.Steps() >= at
	for _, loss := range []faults.Loss{faults.LoseAll, faults.LoseNone, faults.LoseTail, faults.Reorder} {
		past := *h // what a crash leaves is looked at without changing it
		s, _, err := begin(kind.on(disk.Reboot(loss, random)), each, &past, acked, random)
		if err != nil {
			return failed, fmt.Errorf("after it, with loss %d: %w", loss, err)
		}
		if err := s.Close(); err != nil {
			return failed, err
		}
	}
	return failed, nil
}
