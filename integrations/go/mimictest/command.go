// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const commandTimeout = 2 * time.Minute

// Find returns the path of `mimic`: the one that the environment variable MIMIC names, else the one in PATH.
func Find() (string, error) {
	if said := os.Getenv("MIMIC"); said != "" {
		path, err := exec.LookPath(said)
		if err != nil {
			return "", fmt.Errorf("mimictest: %s, which the environment variable MIMIC names, is no program", said)
		}
		return filepath.Abs(path)
	}
	path, err := exec.LookPath("mimic")
	if err != nil {
		return "", errors.New("mimictest: there is no `mimic` in PATH: install it, or name it by the environment variable MIMIC")
	}
	return filepath.Abs(path)
}

// command is `mimic` with an environment in which its machines live. Safe for several goroutines.
type command struct {
	program     string
	environment []string
}

// finished is what came of a command. Its status is 128 + the signal if one ended it.
type finished struct {
	status         int
	stdout, stderr []byte
}

var errTimeout = errors.New("did not end in time")

// run runs `mimic arguments` to its end, whatever its status is. The error is errTimeout, or why it could not be started.
func (c *command) run(timeout time.Duration, input []byte, arguments ...string) (finished, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var out, err bytes.Buffer
	process := exec.CommandContext(ctx, c.program, arguments...)
	process.Env, process.Stdin, process.Stdout, process.Stderr = c.environment, bytes.NewReader(input), &out, &err
	failed := process.Run()
	if ctx.Err() != nil {
		return finished{}, fmt.Errorf("`mimic %s` %w: %v", strings.Join(arguments, " "), errTimeout, timeout)
	}
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		return finished{}, fmt.Errorf("`mimic %s`: %w", strings.Join(arguments, " "), failed)
	}
	return finished{status(process.ProcessState), out.Bytes(), err.Bytes()}, nil
}

// ask returns what `mimic arguments` prints; an error with what it says on standard error, if it fails.
func (c *command) ask(timeout time.Duration, arguments ...string) (string, error) {
	done, err := c.run(timeout, nil, arguments...)
	if err == nil && done.status != 0 {
		err = fmt.Errorf("`mimic %s` ended with %d: %s", strings.Join(arguments, " "), done.status, text(done.stderr))
	}
	return string(done.stdout), err
}

func status(state *os.ProcessState) int {
	if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		return 128 + int(wait.Signal())
	}
	return state.ExitCode()
}

func text(data []byte) string {
	return strings.ToValidUTF8(strings.TrimSpace(string(data)), "\uFFFD")
}

// printable is what a guest said, fit for a terminal: no byte of it moves the cursor, or makes the terminal answer.
func printable(said string) string {
	return strings.Map(func(letter rune) rune {
		if unicode.IsPrint(letter) || letter == '\n' || letter == '\t' {
			return letter
		}
		return '\uFFFD'
	}, said)
}

// background is a `mimic` that goes on until end. Its standard input is a pipe, which commands with --until-eof watch.
type background struct {
	process *exec.Cmd
	input   io.WriteCloser
	stdout  *os.File
	stderr  *os.File // a file without a name: a pipe that nobody reads would hold it up; nil after end
	last    string   // what it said there, after end
	ended   chan struct{}
}

// start starts it in a session of its own: a ^C at the terminal ends the test's process, and with that what watches its pipe.
func (c *command) start(arguments ...string) (*background, error) {
	stderr, err := os.CreateTemp("", "mimictest-")
	if err != nil {
		return nil, err
	}
	os.Remove(stderr.Name())
	ours, theirs, err := os.Pipe()
	if err != nil {
		stderr.Close()
		return nil, err
	}
	defer theirs.Close()
	process := exec.Command(c.program, arguments...)
	process.Env, process.Stdout, process.Stderr = c.environment, theirs, stderr
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	input, err := process.StdinPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		ours.Close()
		stderr.Close()
		return nil, fmt.Errorf("mimictest: %w", err)
	}
	started := &background{process: process, input: input, stdout: ours, stderr: stderr, ended: make(chan struct{})}
	go func() {
		process.Wait()
		close(started.ended)
	}()
	return started, nil
}

// firstWords waits for the first line on standard output. The error has what it said on standard error.
func (b *background) firstWords(timeout time.Duration) (string, error) {
	b.stdout.SetReadDeadline(time.Now().Add(timeout))
	var said []byte
	for !bytes.HasSuffix(said, []byte("\n")) {
		buffer := make([]byte, 4096)
		count, err := b.stdout.Read(buffer)
		said = append(said, buffer[:count]...)
		if err == nil {
			continue
		}
		arguments := strings.Join(b.process.Args[1:], " ")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", fmt.Errorf("`mimic %s` %w: %v\n%s", arguments, errTimeout, timeout, b.words())
		}
		<-b.ended
		return "", fmt.Errorf("`mimic %s` failed: %s", arguments, b.words())
	}
	return strings.TrimSpace(string(said)), nil
}

// words is what it has said on standard error.
func (b *background) words() string {
	if b.stderr == nil {
		return b.last
	}
	size, err := b.stderr.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	data := make([]byte, size)
	count, _ := b.stderr.ReadAt(data, 0)
	return text(data[:count])
}

// end ends it as ^C does, kills it if that takes minutes, and returns its status. It may be called again.
func (b *background) end() int {
	b.input.Close()
	b.process.Process.Signal(os.Interrupt)
	select {
	case <-b.ended:
	case <-time.After(commandTimeout):
		b.process.Process.Kill()
		<-b.ended
	}
	b.stdout.Close()
	if b.stderr != nil {
		b.last = b.words()
		b.stderr.Close()
		b.stderr = nil
	}
	return status(b.process.ProcessState)
}
