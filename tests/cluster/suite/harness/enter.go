// SPDX-License-Identifier: Apache-2.0

// Package harness brings up a Kubernetes of one node in private namespaces of this machine, for tests.
//
// A program calls Main first of all. It is then three processes: the outer one (which the user started) makes
// namespaces and control groups; PID 1 of the namespaces mounts and connects what a node needs, and buries orphans; the
// inner one runs the given function. When any of the three ends, however it ends, the kernel ends every process of the
// namespaces: PID 1's parent-death signal and the end of PID 1 see to that. Mounts and networks go with the
// namespaces. What is left are empty control groups, which the outer process removes, or the next run if it was killed.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	stageVariable  = "MIMIC_CLUSTER_STAGE"
	cgroupVariable = "MIMIC_CLUSTER_CGROUP"
	logsVariable   = "MIMIC_CLUSTER_LOGS"
	skipped        = 77
)

// Main runs inside in the namespaces and ends the process with its status. It ends with 77 after a line "SKIP: reason" where this machine
// cannot have them. Logs are kept, and their path printed, when the status is not 0.
func Main(inside func() int) {
	switch os.Getenv(stageVariable) {
	case "":
		os.Exit(outer())
	case "init":
		os.Exit(firstProcess())
	default:
		os.Exit(inside())
	}
}

func fail(format string, arguments ...any) int {
	fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", arguments...)
	return 1
}

func outer() int {
	if os.Geteuid() != 0 {
		fmt.Println("SKIP: a cluster needs root, for namespaces and control groups")
		return skipped
	}
	started := time.Now()
	removeDeadGroups()
	group := groupPrefix + strconv.Itoa(os.Getpid())
	if err := makeGroups(group); err != nil {
		fmt.Println("SKIP: no control groups can be made here:", err)
		return skipped
	}
	logs, temporary, err := logFolder()
	if err != nil {
		removeGroups(group)
		return fail("%v", err)
	}
	// The parent-death signal is sent when the thread that started the child ends.
	runtime.LockOSThread()
	command := stage("init")
	command.Env = append(command.Env, cgroupVariable+"="+group, logsVariable+"="+logs)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := command.Start(); err != nil {
		removeGroups(group)
		fmt.Println("SKIP: no namespaces can be made here:", err)
		return skipped
	}
	go func() {
		<-signals
		_ = command.Process.Kill()
	}()
	status := exitStatus(command.Wait())
	// PID 1 is only gone when all processes of its namespace are, so a group that is not empty is a leak.
	if err := removeGroups(group); err != nil {
		status = fail("something of the cluster is left: %v", err)
	}
	if status == 0 && temporary {
		_ = os.RemoveAll(logs)
	} else if status != 0 && status != skipped {
		fmt.Fprintln(os.Stderr, "cluster: logs are in", logs)
	}
	fmt.Printf("cluster: all gone %.1f s after the start\n", time.Since(started).Seconds())
	return status
}

// logFolder makes the folder for logs; it is temporary unless MIMIC_CLUSTER_LOGS names it.
func logFolder() (folder string, temporary bool, err error) {
	if folder = os.Getenv(logsVariable); folder != "" {
		if folder, err = filepath.Abs(folder); err == nil {
			err = os.MkdirAll(folder, 0o755)
		}
		// Components append to their logs; those of the run before are not theirs.
		old, _ := filepath.Glob(filepath.Join(folder, "*.log"))
		for _, file := range old {
			_ = os.Remove(file)
		}
		return folder, false, err
	}
	folder, err = os.MkdirTemp("", "mimic-cluster-logs-")
	return folder, true, err
}

func stage(name string) *exec.Cmd {
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Args[0] = os.Args[0]
	command.Env = append(os.Environ(), stageVariable+"="+name)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return command
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	default:
		return fail("%v", err)
	}
}

// firstProcess is PID 1 of the namespaces.
func firstProcess() int {
	if err := prepareNode(); err != nil {
		return fail("preparing the node: %v", err)
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fail("%v", err)
	}
	if err := os.Setenv(stageVariable, "inside"); err != nil {
		return fail("%v", err)
	}
	inner, err := os.StartProcess(program, os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return fail("%v", err)
	}
	// One wait for all: orphans come here, and the inner process must not be waited for by somebody else.
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return fail("wait: %v", err)
		case pid == inner.Pid && status.Exited():
			return status.ExitStatus()
		case pid == inner.Pid:
			return fail("the program was ended by signal %v", status.Signal())
		}
	}
}

// Programs returns the path of a program of tools/kube or of the build; MIMIC_CLUSTER_PATH lists their folders.
func Program(name string) (string, error) {
	for _, folder := range strings.Split(os.Getenv("MIMIC_CLUSTER_PATH"), ":") {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); folder != "" && err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is in none of the folders of MIMIC_CLUSTER_PATH (%s)", name, os.Getenv("MIMIC_CLUSTER_PATH"))
}
