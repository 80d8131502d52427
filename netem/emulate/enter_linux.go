package emulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// enteredVariable marks a process that Enter has started.
const enteredVariable = "RAFTBENCH_USER_NAMESPACE"

// Enter makes sure that networks can be made by this program. Where this process lacks the right, it starts the program
// again with the same arguments in a user namespace, where it has it, and waits; done says so, with the exit status.
// Otherwise done is false, and the program goes on. Errors wrap ErrUnavailable.
func Enter(ctx context.Context) (status int, done bool, err error) {
	err = apart(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err == nil {
		return 0, false, nil
	}
	if !errors.Is(err, unix.EPERM) || os.Getenv(enteredVariable) != "" {
		return 0, false, unavailable("%w", noNamespace(err))
	}
	status, err = again()
	if err != nil {
		return 0, false, unavailable("%w", noUserNamespace(err))
	}
	return status, true, ctx.Err()
}

// again runs this program in a new user namespace, as its root, and returns the exit status.
func again() (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), enteredVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGTERM, // when this thread ends, so it must not before the process
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A terminal tells both of an interrupt; who ends only this process means the other.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	defer signal.Stop(ended)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	over := make(chan struct{})
	go func() {
		select {
		case s := <-ended:
			cmd.Process.Signal(s)
		case <-over:
		}
	}()
	err = cmd.Wait()
	close(over)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// What keeps users from making user namespaces, on Ubuntu and elsewhere.
const (
	appArmorLimit = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	debianLimit   = "/proc/sys/kernel/unprivileged_userns_clone"
	countLimit    = "/proc/sys/user/max_user_namespaces"
)

// noUserNamespace says why there is no user namespace, and how to get one.
func noUserNamespace(err error) error {
	for _, limit := range []struct{ file, bad, want string }{
		{appArmorLimit, "1", "0"}, {debianLimit, "0", "1"}, {countLimit, "0", "1000"},
	} {
		if text, e := os.ReadFile(limit.file); e == nil && strings.TrimSpace(string(text)) == limit.bad {
			name := strings.ReplaceAll(strings.TrimPrefix(limit.file, "/proc/sys/"), "/", ".")
			return fmt.Errorf("users may not make user namespaces (%w): sysctl -w %s=%s, or run as root", err, name, limit.want)
		}
	}
	return fmt.Errorf("no user namespace (%w): run as root; in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN --device %s", err, tunFile)
}
