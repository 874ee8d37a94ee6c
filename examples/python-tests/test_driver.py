# SPDX-License-Identifier: Apache-2.0
"""A driver and its device: the driver of mock-accel stands for yours."""
STATUS = "/sys/class/mock-accel/mock0/status"


def test_the_guest_is_what_the_file_says(mimic_machine):
    mimic_machine.verify()


def test_the_driver_writes_the_register(mimic_machine):
    with mimic_machine.record("gpu0") as recording:
        mimic_machine.write(STATUS, b"42")
    assert mimic_machine.registers("gpu0")["BAR0.STATUS"] == 42
    assert mimic_machine.read(STATUS) == b"0x0000002a\n"
    (write,) = recording.events.find("bar-write", reg="STATUS")
    assert write.value == 42
    # The model alone, without a guest, does the same: the recording is a unit test of it (mimic replay --to-test).
    assert recording.replay().startswith("same:")


def test_a_lost_interrupt_is_survived(mimic_machine):
    """Whoever waits for a change of STATUS gives up in time when the interrupt is lost, and the next one is seen again."""
    def wait_for_change(milliseconds):
        return mimic_machine.shell(f"""
            seq=$(mock-accel-ctl info /dev/mock-accel0 | sed -n 's/^status_seq=//p')
            mock-accel-ctl wait /dev/mock-accel0 "$seq" {milliseconds} & waiter=$!
            echo $(($(cat {STATUS}) + 1)) >{STATUS}
            wait $waiter""", check=False)

    with mimic_machine.record("gpu0") as recording:
        with mimic_machine.fault("gpu0", "irq-lost", vector=0) as fault:
            assert not wait_for_change(1500).ok
            fault.wait_struck()
    # The device did send it; the fault took it away.
    (interrupt,) = recording.events.find("msix", vector=0)
    assert interrupt.faulted
    assert wait_for_change(120_000).ok
