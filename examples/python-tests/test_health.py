# SPDX-License-Identifier: Apache-2.0
"""Does our monitor, gpu-health, notice what may go wrong with an accelerator?"""
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def health(mimic_machine):
    """Runs gpu-health in the guest."""
    mimic_machine.copy_to(HERE / "gpu-health", "/tmp/gpu-health")
    return lambda: mimic_machine.exec("/tmp/gpu-health", "mock0", check=False)


def test_a_healthy_device(health):
    assert health().text == "mock0: healthy"


def test_wrong_data_is_noticed(mimic_machine, health):
    with mimic_machine.fault("gpu0", "dma-corrupt", count=1) as fault:
        result = health()
    assert (result.status, result.text) == (1, "mock0: moves wrong data")
    assert fault.strikes == 1
    assert health().ok  # it was but once


def test_a_dead_device_is_noticed(mimic_machine, health):
    with mimic_machine.fault("gpu0", "all-ones"):
        result = health()
    assert (result.status, result.text) == (2, "mock0: does not answer")
    assert health().ok
