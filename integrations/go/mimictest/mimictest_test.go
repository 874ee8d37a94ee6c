// SPDX-License-Identifier: Apache-2.0

package mimictest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	t.Setenv("MIMIC", "/none/mimic")
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "the environment variable MIMIC names, is no program") {
		t.Error(err)
	}
	t.Setenv("MIMIC", "")
	t.Setenv("PATH", "/none")
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "name it by the environment variable MIMIC") {
		t.Error(err)
	}
}

// One device host for all, since each start costs.
func TestOnDevicesWithoutAGuest(t *testing.T) {
	box := serve(t)
	machine := (&Machine{lab: box.lab, name: "box"}).With(t)

	t.Run("registers", func(t *testing.T) {
		if machine.Reg("gpu1", "VENDOR_ID") == 0 || machine.Reg("gpu1", "BAR0.STATUS") != 0 || machine.Reg("gpu1", "COMMAND.BUS_MASTER") != 0 {
			t.Error("registers differ")
		}
		ends(t, box.lab, "gpu1 has no register VENDOR_IDD; it has, among others: VENDOR_ID", func(m *Machine) { m.Reg("gpu1", "VENDOR_IDD") })
		ends(t, box.lab, "did you mean", func(m *Machine) { m.Regs("gpu7") })
		ends(t, box.lab, `"gpu1/faults" is no name`, func(m *Machine) { m.Regs("gpu1/faults") })
	})

	t.Run("metrics", func(t *testing.T) {
		labels := map[string]string{"device": "gpu1", "space": "config", "direction": "write"}
		before := machine.Metric("mimic_device_accesses_total", labels)
		box.writeCommand(t, "gpu1", "0000")
		if after := machine.Metric("mimic_device_accesses_total", labels); after != before+1 {
			t.Errorf("%v accesses, then %v", before, after)
		}
		ends(t, box.lab, "no metric mimic_nothing", func(m *Machine) { m.Metric("mimic_nothing", nil) })
	})

	t.Run("faults", func(t *testing.T) {
		active := func() float64 {
			return machine.Metric("mimic_device_faults", map[string]string{"device": "gpu1", "state": "active"})
		}
		fault := machine.Inject("gpu1", "all-ones")
		if fault.State() != "active" || active() != 1 {
			t.Errorf("%s, %v active", fault.State(), active())
		}
		fault.Clear()
		if fault.State() != "cleared" || active() != 0 {
			t.Errorf("%s, %v active", fault.State(), active())
		}
		judge(t, box.lab, func(m *Machine) { m.Inject("gpu1", "all-ones") })
		if active() != 0 {
			t.Error("a test left its fault")
		}
		waits := machine.Inject("gpu1", "all-ones", FaultOptions{After: 2, Seed: 7})
		for waits.Strikes() == 0 {
			box.writeCommand(t, "gpu1", "0000")
		}
		waits.WaitStruck(1)
		waits.Clear()
		ends(t, box.lab, "all-ones", func(m *Machine) { m.Inject("gpu1", "all-onse") })
		_, err := machine.inject("gpu1", "bad-tlp")
		var refused *APIError
		if !errors.As(err, &refused) || refused.Status != 409 {
			t.Error(err)
		}
	})

	t.Run("traces", func(t *testing.T) {
		recording := machine.Record("gpu1")
		box.writeCommand(t, "gpu1", "0600")
		events := recording.Stop()
		if recording.Lost() != 0 {
			t.Errorf("%d events lost", recording.Lost())
		}
		writes := events.OfKind("config-write", "COMMAND")
		if len(writes) != 1 || writes[0].Value != 6 || writes[0].Device != "gpu1" || !strings.Contains(string(writes[0].Raw), "MEMORY") {
			t.Errorf("%+v", events)
		}
		ends(t, box.lab, "does not record", func(m *Machine) { m.Record("gpu7") })
	})

	t.Run("a failure has what the machine did", func(t *testing.T) {
		result := judge(t, box.lab, func(m *Machine) {
			m.Record("gpu1").Stop()
			box.writeCommand(t, "gpu1", "0400")
			recording := m.Record("gpu1")
			box.writeCommand(t, "gpu1", "0600")
			recording.Stop()
			m.t.Fatalf("mine")
		})
		log := strings.Join(result.log, "\n")
		for _, words := range []string{"the last words of the guest", "trace of box", "recorded", "config-write COMMAND 0x6"} {
			if !strings.Contains(log, words) {
				t.Errorf("no %q in %s", words, log)
			}
		}
		if result := judge(t, box.lab, func(*Machine) {}); len(result.log) != 0 {
			t.Error("a test that passed has a log: ", result.log)
		}
	})

	t.Run("a machine that is none", func(t *testing.T) {
		ends(t, box.lab, "does not run any more", func(m *Machine) {
			m.name = "nope"
			m.WaitFor("nothing", func() bool { return false })
		})
	})
}

func TestExec(t *testing.T) {
	lab := fake(t, `printf "%s|" "$@"; cat; echo oops >&2; exit 3`)
	judge(t, lab, func(m *Machine) {
		done := m.ExecInput([]byte("\xff"), time.Minute, "a b", "--c")
		if done.Status != 3 || string(done.Stdout) != "exec|box|--|a b|--c|\xff" || string(done.Stderr) != "oops\n" {
			t.Errorf("%+v", done)
		}
	})
	ends(t, lab, "`false` ended with 3", func(m *Machine) { m.MustExec("false") })
	ends(t, fake(t, `printf 'a\033[2Jb\n'; exit 1`), "stdout: a\uFFFD[2Jb\n", func(m *Machine) { m.MustExec("cat") })
	ends(t, fake(t, `echo "mimic: no agent" >&2; exit 125`), "no agent", func(m *Machine) { m.Exec("true") })
	ends(t, fake(t, "[ $1 != exec ] || exec sleep 60"), "did not end in time", func(m *Machine) { m.ExecInput(nil, 200*time.Millisecond, "sleep") })
}

// A machine of its own, since nothing is left of it.
func TestFaultsOfTheProcessThatServes(t *testing.T) {
	box := serve(t)
	machine := (&Machine{lab: box.lab, name: "box"}).With(t)
	if !machine.Whole() {
		t.Error("it is not whole from the beginning")
	}
	hung := judge(t, box.lab, func(m *Machine) {
		hang := m.Inject("gpu1", "host-hang", FaultOptions{Delay: 6 * time.Second})
		if hang.Strikes() != 1 {
			t.Error("the hang is still to come")
		}
	})
	machine.WaitFor("the hang ends", machine.Whole)
	waited := judge(t, box.lab, func(m *Machine) {
		if later := m.Inject("gpu1", "host-crash", FaultOptions{At: time.Hour}); later.Strikes() != 0 {
			t.Error("it did not wait")
		}
	})
	if hung.fatal != "" || waited.fatal != "" {
		t.Error(hung.fatal, waited.fatal)
	}
	if !machine.Whole() {
		t.Error("a crash that was taken back struck")
	}
	result := judge(t, box.lab, func(m *Machine) {
		crash := m.Inject("gpu1", "host-crash") // and the test's end clears it at once
		if crash.State() != "done" || crash.Strikes() != 1 {
			t.Errorf("%s, %d strikes", crash.State(), crash.Strikes())
		}
		crash.Clear()
	})
	if machine.Whole() || result.fatal != "" {
		t.Errorf("the process is there after its crash; the test ended with %q", result.fatal)
	}
}

func TestTheAPIIsStartedAgain(t *testing.T) {
	lab, err := NewLab()
	must(t, err)
	defer lab.Close()
	control, err := lab.api()
	must(t, err)
	must(t, control.serves.process.Process.Kill())
	<-control.serves.ended
	if machines, err := lab.machines(); err != nil || len(machines) != 0 {
		t.Error(machines, err)
	}
	if control.serves.stderr != nil {
		t.Error("the log of the old one is still open")
	}
	lab.Close()
	if _, err := lab.machines(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}

// The words of `mimic up` are the real one's; a guest would take its time.
func TestANameRunsOnceInALab(t *testing.T) {
	real, err := Find()
	must(t, err)
	lab := fake(t, `[ $1 = up ] || exec "`+real+`" "$@"
[ ! -e "$XDG_RUNTIME_DIR/up" ] || { echo "mimic: machine box is already running. Stop it with: mimic down box" >&2; exit 1; }
touch "$XDG_RUNTIME_DIR/up"; mkdir -m 700 -p "$XDG_RUNTIME_DIR/mimic/box"; exec 9>"$XDG_RUNTIME_DIR/mimic/box/lock"; flock -x 9
trap 'rm -r "$XDG_RUNTIME_DIR/mimic/box" "$XDG_RUNTIME_DIR/up"; exit 0' INT
echo up; cat >/dev/null; rm -r "$XDG_RUNTIME_DIR/mimic/box" "$XDG_RUNTIME_DIR/up"`)
	first, err := lab.Up("box.yaml", Options{})
	must(t, err)
	_, err = lab.Up("box.yaml", Options{Set: map[string]string{"gpus": "2"}})
	if err == nil || !strings.Contains(err.Error(), "this Lab runs a machine box: end it by Lab.Down") ||
		!strings.Contains(err.Error(), "is already running") {
		t.Error(err)
	}
	lab.Down(first)
	if _, err = lab.Up("box.yaml", Options{}); err != nil {
		t.Error(err)
	}
}

// Nobody's sweep takes a folder away between its making and its lock. Locks are of open files: goroutines do for processes.
func TestFoldersThatAreMadeSideBySide(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortFolder(t))
	var all sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; i < 150; i++ {
				folder, owner, err := makeFolder()
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(filepath.Join(folder, "owner")); err != nil {
					t.Error(err)
				}
				owner.Close()
			}
		}()
	}
	all.Wait()
}

func TestASweepLeavesWhatIsNotOurs(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"target", "mimic-test-ours", "mimic-test-others"} {
		must(t, os.Mkdir(filepath.Join(root, name), 0o700))
		must(t, os.WriteFile(filepath.Join(root, name, "owner"), nil, 0o600))
	}
	must(t, os.Symlink("target", filepath.Join(root, "mimic-test-link")))
	isRoot := os.Getuid() == 0 // who else may give a folder away?
	if isRoot {
		must(t, os.Chown(filepath.Join(root, "mimic-test-others"), 65534, 65534))
	}
	sweep(root)
	for name, stays := range map[string]bool{"target/owner": true, "mimic-test-link": true, "mimic-test-ours": false, "mimic-test-others": isRoot} {
		if _, err := os.Lstat(filepath.Join(root, name)); (err == nil) != stays {
			t.Errorf("%s: it is to stay: %v, and %v", name, stays, err)
		}
	}
}

// As TestFoldersThatAreMadeSideBySide, made to happen.
func TestASweepThatComesBetween(t *testing.T) {
	root := shortFolder(t)
	t.Setenv("XDG_RUNTIME_DIR", root)
	lock := flock
	defer func() { flock = lock }()
	swept := ""
	flock = func(file *os.File) error {
		if swept == "" {
			swept = file.Name()
			sweep(root)
		}
		return lock(file)
	}
	folder, owner, err := makeFolder()
	must(t, err)
	defer owner.Close()
	sweep(root)
	if _, err := os.Stat(filepath.Join(folder, "owner")); err != nil || filepath.Dir(swept) == folder {
		t.Errorf("%s was swept, %s was made: %v", swept, folder, err)
	}
	flock = func(*os.File) error { return syscall.ENOLCK }
	if folder, owner, err := makeFolder(); !errors.Is(err, syscall.ENOLCK) || owner != nil {
		t.Error(folder, err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*")); len(left) != 1 {
		t.Errorf("a folder that cannot be locked is left: %v", left)
	}
}

// shortFolder is one that folderRoot takes.
func shortFolder(t *testing.T) string {
	folder, err := os.MkdirTemp("/tmp", "mgo-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func TestReadTraceSaysWhatIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lost.jsonl")
	must(t, os.WriteFile(path, []byte("{\"mimic_trace\":1}\n{\"t\":1,\"kind\":\"msix\"}\n{\"end\":true,\"lost\":3}\n"), 0o600))
	events, lost, err := ReadTrace(path)
	if err != nil || lost != 3 || len(events) != 1 {
		t.Error(events, lost, err)
	}
}

func TestReadTraceRefuses(t *testing.T) {
	for content, why := range map[string]string{
		"": "cut off", "{}\n": "line 1", "{\"mimic_trace\":1}\n": "cut off", "{\"mimic_trace\":1}\n[1]\n": "line 2",
		"{\"mimic_trace\":1}\n{\"value\":\"0xzz\"}\n": "line 2",
	} {
		path := filepath.Join(t.TempDir(), "wrong.jsonl")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, _, err := ReadTrace(path); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// fakeQEMU makes `mimic up` boot nothing: `script` runs in QEMU's place, with a kernel that is none.
func fakeQEMU(t *testing.T, script string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"vmlinux-6.1", "initrd-6.1"} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte("none"), 0o600))
	}
	qemu := filepath.Join(folder, "qemu")
	must(t, os.WriteFile(qemu, []byte("#!/bin/sh\ncase $1 in\n--version) echo 'QEMU emulator version 11.1.3' ;;\n"+
		"-device) echo 'name \"vfio-user-pci\"' ;;\n*) "+script+" ;;\nesac\n"), 0o700))
	t.Setenv("MIMIC_GUEST_IMAGES", folder)
	t.Setenv("MIMIC_QEMU", qemu)
}

func TestAGuestThatDoesNotBoot(t *testing.T) {
	fakeQEMU(t, "echo 'qemu: no such machine' >&2; exit 1")
	file := filepath.Join(t.TempDir(), "box.yaml")
	must(t, os.WriteFile(file, []byte(topology), 0o600))
	lab, err := NewLab()
	must(t, err)
	defer lab.Close()
	_, err = lab.Up(file, Options{Args: []string{"--accel", "tcg"}})
	if err == nil || !strings.Contains(err.Error(), "qemu: no such machine") {
		t.Error(err)
	}
	lab.Close()
	if _, err := os.Stat(lab.RunDir()); !os.IsNotExist(err) {
		t.Errorf("%s is left", lab.RunDir())
	}
}

// TestHelper is the run that TestNothingIsLeftOfARunThatIsKilled kills.
func TestHelper(t *testing.T) {
	file := os.Getenv("MIMICTEST_HELPER")
	if file == "" {
		t.Skip("only for TestNothingIsLeftOfARunThatIsKilled")
	}
	lab, err := NewLab()
	must(t, err)
	must(t, os.WriteFile(file+".folder", []byte(lab.RunDir()), 0o600))
	lab.Up(file, Options{Args: []string{"--accel", "tcg"}})
}

func TestNothingIsLeftOfARunThatIsKilled(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "box.yaml")
	must(t, os.WriteFile(file, []byte(topology), 0o600))
	fakeQEMU(t, "touch "+folder+"/booting; exec sleep 600")
	run := exec.Command(os.Args[0], "-test.run=^TestHelper$")
	run.Env = append(os.Environ(), "MIMICTEST_HELPER="+file)
	must(t, run.Start())
	eventually := func(what string, condition func() bool) {
		t.Helper()
		for deadline := time.Now().Add(WaitTimeout); !condition(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				run.Process.Kill()
				t.Fatalf("%s: not within %v", what, WaitTimeout)
			}
		}
	}
	eventually("QEMU starts", func() bool { _, err := os.Stat(folder + "/booting"); return err == nil })
	runDir, err := os.ReadFile(file + ".folder")
	must(t, err)
	if len(processesOf(string(runDir))) == 0 {
		t.Error("no process is there: the test looks at the wrong ones")
	}
	run.Process.Kill()
	run.Wait()
	eventually("all of it ends", func() bool { return len(processesOf(string(runDir))) == 0 })
	lab, err := NewLab() // sweeps
	must(t, err)
	lab.Close()
	if _, err := os.Stat(string(runDir)); !os.IsNotExist(err) {
		t.Errorf("%s is left", runDir)
	}
}

// processesOf returns the processes whose machines are in this run folder.
func processesOf(runDir string) []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		environment, _ := os.ReadFile(path)
		if strings.Contains("\x00"+string(environment), "\x00XDG_RUNTIME_DIR="+runDir+"\x00") {
			found = append(found, path)
		}
	}
	return found
}
