// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Component is a program that runs in the background with its output in a log file. Not for use by two goroutines at once.
type Component struct {
	Name    string
	Log     string // path of its output, which restarts append to
	program string
	// Arguments and Environment (beside that of the test) of the next start.
	Arguments   []string
	Environment []string
	process     *os.Process
	ended       chan struct{} // closed when the process has been waited for
	state       *os.ProcessState
}

var (
	componentsMutex sync.Mutex
	components      []*Component
)

// NewComponent describes a program and does not start it. The program is found by Program unless it is a path.
func NewComponent(name, program string, arguments ...string) (*Component, error) {
	if !filepath.IsAbs(program) {
		found, err := Program(program)
		if err != nil {
			return nil, err
		}
		program = found
	}
	component := &Component{Name: name, program: program, Arguments: arguments,
		Log: filepath.Join(os.Getenv(logsVariable), name+".log")}
	componentsMutex.Lock()
	components = append(components, component)
	componentsMutex.Unlock()
	return component, nil
}

// Start starts the program.
func (c *Component) Start() error {
	if c.Running() {
		return fmt.Errorf("%s runs already", c.Name)
	}
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(c.program, c.Arguments...)
	command.Env = append(os.Environ(), c.Environment...)
	command.Stdout, command.Stderr = log, log
	// A process group of its own: ^C is for the outer process, which ends all.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.Name, err)
	}
	ended := make(chan struct{})
	c.process, c.ended = command.Process, ended
	go func() {
		_ = command.Wait()
		c.state = command.ProcessState
		close(ended)
	}()
	return nil
}

// Running says whether the program was started and has not ended.
func (c *Component) Running() bool {
	if c.process == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// Pid is the process id of the last start.
func (c *Component) Pid() int { return c.process.Pid }

// Signal sends a signal.
func (c *Component) Signal(number syscall.Signal) error { return c.process.Signal(number) }

// WaitEnd waits until the program has ended and returns its status as a text ("exit status 0", "signal: killed").
func (c *Component) WaitEnd(limit time.Duration) (string, error) {
	select {
	case <-c.ended:
		return c.state.String(), nil
	case <-time.After(limit):
		return "", fmt.Errorf("%s has not ended within %v", c.Name, limit)
	}
}

// Kill ends the program by SIGKILL, if it runs, and waits for it.
func (c *Component) Kill() {
	if c.Running() {
		_ = c.process.Kill()
		<-c.ended
	}
}

// Stop asks the program to end, if it runs, and waits for it.
func (c *Component) Stop(limit time.Duration) error {
	if !c.Running() {
		return nil
	}
	_ = c.process.Signal(syscall.SIGTERM)
	if _, err := c.WaitEnd(limit); err != nil {
		c.Kill()
		return err
	}
	return nil
}

// Restart stops by SIGKILL and starts again.
func (c *Component) Restart() error {
	c.Kill()
	return c.Start()
}

// LogSize is the length of the log now, in bytes.
func (c *Component) LogSize() int64 {
	info, err := os.Stat(c.Log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// LogTail returns the end of the log.
func (c *Component) LogTail(lines int) string {
	text, err := os.ReadFile(c.Log)
	if err != nil {
		return err.Error()
	}
	parts := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	if len(parts) > lines {
		parts = parts[len(parts)-lines:]
	}
	for i, part := range parts {
		if len(part) > 400 { // one line of a kubelet may hold a whole pod
			parts[i] = append(part[:400:400], "..."...)
		}
	}
	return string(bytes.Join(parts, []byte("\n")))
}

// PrintLogs prints the end of every component's log.
func PrintLogs(lines int) {
	componentsMutex.Lock()
	defer componentsMutex.Unlock()
	for _, c := range components {
		state := "never started"
		if c.Running() {
			state = "runs"
		} else if c.state != nil {
			state = c.state.String()
		}
		fmt.Printf("--- end of %s (%s)\n%s\n", c.Log, state, c.LogTail(lines))
	}
}
