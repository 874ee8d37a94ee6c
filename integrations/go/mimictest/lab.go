// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const folderPrefix = "mimic-test-"

// Options says which machine is booted. The zero value is the only machine of a file without parameters.
type Options struct {
	Machine string            // which machine of a file with several
	Set     map[string]string // what ${KEY} is in the file
	Args    []string          // more for `mimic up`, such as "--kernel", "6.12"
	Timeout time.Duration     // in which the guest must have booted; 0: ten minutes
}

// Lab is a run folder of its own, so that two test runs never meet, and the machines in it. Not for several goroutines at once, but
// for Close.
type Lab struct {
	command command
	folder  string
	owner   *os.File
	control *api

	mutex  sync.Mutex             // of what follows
	ups    map[string]*background // by the machine's name; nil after Close
	closes sync.Once
}

// NewLab makes one. Its owner calls Close; if the process dies before, the machines end nevertheless.
func NewLab() (*Lab, error) {
	program, err := Find()
	if err != nil {
		return nil, err
	}
	folder, owner, err := makeFolder()
	if err != nil {
		return nil, fmt.Errorf("mimictest: %w", err)
	}
	environment := append(os.Environ(), "XDG_RUNTIME_DIR="+folder, "XDG_STATE_HOME="+filepath.Join(folder, "state"))
	return &Lab{command: command{program, environment}, folder: folder, owner: owner, ups: map[string]*background{}}, nil
}

// RunDir is XDG_RUNTIME_DIR for `mimic ps`, `exec` and `logs` by hand while tests run.
func (l *Lab) RunDir() string { return l.folder }

// Close ends all machines. It may be called again.
func (l *Lab) Close() {
	l.closes.Do(func() {
		l.mutex.Lock()
		ups := l.ups
		l.ups = nil
		l.mutex.Unlock()
		for _, up := range ups {
			up.end()
		}
		if l.control != nil {
			l.control.serves.end()
		}
		os.RemoveAll(l.folder)
		l.owner.Close()
	})
}

// Down ends a machine that Up has booted. Its name may then be booted again.
func (l *Lab) Down(machine *Machine) {
	l.mutex.Lock()
	up := l.ups[machine.name]
	delete(l.ups, machine.name)
	l.mutex.Unlock()
	if up != nil {
		up.end()
	}
}

// note keeps what is to be ended; false after Close.
func (l *Lab) note(name string, up *background) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.ups != nil {
		l.ups[name] = up
	}
	return l.ups != nil
}

// explain says more of why `mimic up` failed.
func (l *Lab) explain(err error) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for name := range l.ups {
		if strings.Contains(err.Error(), "machine "+name+" is already running") {
			return fmt.Errorf("mimictest: this Lab runs a machine %s: end it by Lab.Down, or boot the other in a Lab of its own, as "+
				"mimictest.Up does: %w", name, err)
		}
	}
	return err
}

// api is that of all machines here; one that has died is started anew.
func (l *Lab) api() (*api, error) {
	l.mutex.Lock()
	closed := l.ups == nil
	l.mutex.Unlock()
	if closed {
		return nil, errors.New("mimictest: this Lab is closed: its machines have ended")
	}
	if l.control != nil {
		select {
		case <-l.control.serves.ended:
			l.control.serves.end()
			l.control = nil
		default:
			return l.control, nil
		}
	}
	control, err := startAPI(&l.command)
	if err != nil {
		return nil, err
	}
	l.control = control
	return control, nil
}

type machineInfo struct {
	Name, State, Phase, Reason string
}

func (l *Lab) machines() ([]machineInfo, error) {
	control, err := l.api()
	if err != nil {
		return nil, err
	}
	var answer struct{ Machines []machineInfo }
	err = control.get("/v1/machines", nil, &answer)
	return answer.Machines, err
}

// Up boots the machine of a file, and returns it once it is up. The error has what `mimic up` said, the console's last lines among it.
// A name runs once in a Lab: Down ends the first machine, or another Lab has the second. For use in a test, bind it: With.
func (l *Lab) Up(file string, options Options) (*Machine, error) {
	limit := options.Timeout
	if limit == 0 {
		limit = 10 * time.Minute
	}
	words := []string{"up", file, "--foreground", "--until-eof", "--timeout", fmt.Sprint(int(limit.Seconds()) + 1)}
	for _, key := range sortedKeys(options.Set) {
		words = append(words, "--set", key+"="+options.Set[key])
	}
	if options.Machine != "" {
		words = append(words, "--machine", options.Machine)
	}
	known := map[string]bool{}
	before, err := l.machines()
	if err != nil {
		return nil, err
	}
	for _, machine := range before {
		known[machine.Name] = true
	}
	up, err := l.command.start(append(words, options.Args...)...)
	if err != nil {
		return nil, err
	}
	// The limit is for a guest; downloads and the host's pauses come on top.
	if _, err = up.firstWords(3*limit + 10*time.Minute); err != nil {
		up.end()
		return nil, l.explain(err)
	}
	after, err := l.machines()
	var names []string
	for _, machine := range after {
		if !known[machine.Name] {
			names = append(names, machine.Name)
		}
	}
	if err == nil && len(names) != 1 {
		err = fmt.Errorf("mimictest: %s has machines %s: say which (Options.Machine)", file, strings.Join(names, ", "))
	}
	if err == nil && !l.note(names[0], up) {
		err = errors.New("mimictest: this Lab was closed meanwhile")
	}
	if err != nil {
		up.end()
		return nil, err
	}
	return &Machine{lab: l, name: names[0]}, nil
}

// Up boots the machine of a topology file, ends it with the test, and ends the test if that fails. At most one Options.
func Up(t testing.TB, file string, options ...Options) *Machine {
	t.Helper()
	lab, err := NewLab()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	var chosen Options
	if len(options) > 0 {
		chosen = options[0]
	}
	machine, err := lab.Up(file, chosen)
	if err != nil {
		t.Fatal(err)
	}
	return machine.With(t)
}

func sortedKeys(pairs map[string]string) []string {
	keys := make([]string, 0, len(pairs))
	for key := range pairs {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// makeFolder makes a run folder and takes its lock, which says that we live.
func makeFolder() (string, *os.File, error) {
	root := folderRoot()
	sweep(root)
	for {
		folder, err := os.MkdirTemp(root, folderPrefix)
		if err != nil {
			return "", nil, err
		}
		owner, err := lockFile(filepath.Join(folder, "owner"))
		if owner != nil {
			return folder, owner, nil
		}
		os.RemoveAll(folder)
		if err != nil {
			return "", nil, err
		}
	}
}

// flock waits. A test puts a sweep before it.
var flock = func(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }

// lockFile makes a file and locks it. Neither file nor error: the sweep of another run, which came between the two, has removed it.
func lockFile(path string) (*os.File, error) {
	owner, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = flock(owner); err == nil {
		var ours, there os.FileInfo
		if ours, err = owner.Stat(); err == nil {
			if there, err = os.Stat(path); err == nil && os.SameFile(ours, there) {
				return owner, nil
			}
			if os.IsNotExist(err) {
				err = nil
			}
		}
	}
	owner.Close()
	return nil, err
}

// folderRoot is short: names of sockets have 107 bytes, and $TMPDIR of a build may be too long for them.
func folderRoot() string {
	for _, folder := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
		const writeAndSearch = 3
		if folder != "" && len(folder) <= 40 && syscall.Access(folder, writeAndSearch) == nil {
			return folder
		}
	}
	return "/tmp"
}

// sweep removes folders of runs that were killed, once their machines are gone.
func sweep(root string) {
	folders, _ := filepath.Glob(filepath.Join(root, folderPrefix+"*"))
	for _, folder := range folders {
		// /tmp is everybody's: what lies there under our name may be another's, or lead elsewhere.
		found, err := os.Lstat(folder)
		if err != nil || !found.IsDir() || found.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
			continue
		}
		owner, err := os.OpenFile(filepath.Join(folder, "owner"), os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if err != nil {
			continue // another sweep, a folder that is being made, or somebody else's
		}
		if syscall.Flock(int(owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			running, _ := filepath.Glob(filepath.Join(folder, "mimic", "*", ""))
			if len(runFolders(running)) == 0 {
				os.RemoveAll(folder)
			}
		}
		owner.Close()
	}
}

func runFolders(paths []string) []string {
	var folders []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			folders = append(folders, path)
		}
	}
	return folders
}
