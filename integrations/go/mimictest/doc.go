// SPDX-License-Identifier: Apache-2.0

// Package mimictest is for tests on machines that Mimic makes: it boots a topology file, runs commands in its guest, injects faults
// into its devices and records what they do.
//
//	func TestDriver(t *testing.T) {
//		box := mimictest.Up(t, "box.yaml")
//		fault := box.Inject("gpu0", "irq-lost")
//		if box.Exec("my-test").Status == 0 {
//			t.Error("nobody noticed that the interrupt was lost")
//		}
//		fault.Clear()
//	}
//
// Methods of a Machine end the test (t.Fatal) when Mimic cannot do what they say; what a command in the guest does is for the test to
// judge. A test that fails logs the last lines of the guest's console and the last events of its devices. Machines end with the test,
// and also when the test's process is killed: each `mimic up` watches a pipe that only that process holds.
//
// One boot for all tests of a package is a Lab in TestMain, whose machines With binds to a test. Standard library only.
package mimictest
