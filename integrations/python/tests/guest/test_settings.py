# SPDX-License-Identifier: Apache-2.0
"""One file with different settings in one run, on guests: three boots. The tests are in order: each looks at what the last has left."""
import pytest

two = pytest.mark.mimic(set={"gpus": 2})
boots = {}


def boot_of(machine):
    return machine.read("/proc/sys/kernel/random/boot_id")


def names(machine):
    return machine.shell("ls /sys/class/mock-accel").text.split()


def test_the_first(mimic_machine):
    boots["one"] = boot_of(mimic_machine)
    assert names(mimic_machine) == ["mock0"]


@two
def test_other_settings_have_a_machine_beside_it(mimic_machine):
    boots["two"] = boot_of(mimic_machine)
    assert names(mimic_machine) == ["mock0", "mock1"]
    assert mimic_machine.whole
    with mimic_machine.fault("gpu0", "host-crash") as fault:
        pass  # as short as can be
    assert (fault.state, fault.strikes) == ("done", 1)
    assert not mimic_machine.whole


@two
def test_one_that_has_lost_a_device_is_booted_anew(mimic_machine):
    assert mimic_machine.whole
    assert boot_of(mimic_machine) not in boots.values()
    assert names(mimic_machine) == ["mock0", "mock1"]


def test_the_first_is_still_there(mimic_machine):
    assert boot_of(mimic_machine) == boots["one"]
