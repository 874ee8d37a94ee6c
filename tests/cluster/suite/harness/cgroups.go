// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	groupPrefix = "mimic-cluster-"
	groupRoot   = "/sys/fs/cgroup"
)

// hierarchies returns the roots of all control group hierarchies: one on a machine with version 2, one a controller before that.
func hierarchies() []string {
	if _, err := os.Stat(filepath.Join(groupRoot, "cgroup.controllers")); err == nil {
		return []string{groupRoot}
	}
	var roots []string
	entries, _ := os.ReadDir(groupRoot)
	for _, entry := range entries {
		if entry.IsDir() { // links such as cpu,cpuacct are no folders
			roots = append(roots, filepath.Join(groupRoot, entry.Name()))
		}
	}
	return roots
}

func makeGroups(name string) error {
	roots := hierarchies()
	if len(roots) == 0 {
		return fmt.Errorf("nothing is mounted below %s", groupRoot)
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil && !os.IsExist(err) {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			// In version 1 a new group has no processor and no memory node until it is told.
			if text, err := os.ReadFile(filepath.Join(root, file)); err == nil {
				_ = os.WriteFile(filepath.Join(root, name, file), text, 0o644)
			}
		}
	}
	return nil
}

// join puts this process and so all of its children into the groups, where a hierarchy lets them be beside groups of pods.
func join(name string) error {
	for _, root := range hierarchies() {
		if root == groupRoot {
			return nil // Version 2 has no processes in inner nodes.
		}
		if filepath.Base(root) == "pids" {
			if err := os.WriteFile(filepath.Join(root, name, "cgroup.procs"), []byte("0"), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeGroups removes the groups of one cluster, and says which could not be removed because a process is in it.
func removeGroups(name string) error {
	var left []string
	for _, root := range hierarchies() {
		if err := removeGroup(filepath.Join(root, name)); err != nil {
			left = append(left, err.Error())
		}
	}
	if len(left) > 0 {
		return errors.New(strings.Join(left, "; "))
	}
	return nil
}

func removeGroup(path string) error {
	entries, err := os.ReadDir(path)
	if os.IsNotExist(err) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	// The last process of a group leaves it a moment after it was waited for.
	for try := 0; ; try++ {
		err := syscall.Rmdir(path)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if try == 100 {
			return fmt.Errorf("%s: %w", path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeDeadGroups removes what clusters left whose outer process was killed.
func removeDeadGroups() {
	for _, root := range hierarchies() {
		groups, _ := filepath.Glob(filepath.Join(root, groupPrefix+"*"))
		for _, group := range groups {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(group), groupPrefix))
			if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
				_ = removeGroup(group)
			}
		}
	}
}
