#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""machines_chart_test.py BIN_DIR: the chart deploy/helm/mimic-machines by helm: lint, what it renders, what its schema refuses; and that
the files in docs/kubernetes/machines.md are what they say. (On a real cluster: tests/cluster/machines_test.py.)"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

import helm

CHART = helm.SOURCES / "deploy/helm/mimic-machines"
GUIDE = helm.SOURCES / "docs/kubernetes/machines.md"
MIMIC = None  # of BIN_DIR
SWEEP = ["sweep.enabled=true", "sweep.command={date}"]


def objects(*values):
    return helm.objects(*values, chart=CHART, release="r", namespace="ns")


def container(found, kind):
    (workload,) = [each for (name, _), each in found.items() if name == kind]
    return workload["spec"]["template"]["spec"]["containers"][0]


def values_file(folder, values):
    path = pathlib.Path(folder, "values.yaml")
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


class Rendering(unittest.TestCase):
    def test_lint(self):
        done = helm.run("lint", "--strict", CHART)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_defaults_are_a_fleet_without_privileges(self):
        found = objects()
        self.assertEqual({kind for kind, _ in found}, {"ConfigMap", "Service", "StatefulSet"})
        (stateful,) = [each for (kind, _), each in found.items() if kind == "StatefulSet"]
        pod = stateful["spec"]["template"]["spec"]
        self.assertIs(pod["automountServiceAccountToken"], False)
        self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
        self.assertNotIn("hostNetwork", pod)
        mimic = container(found, "StatefulSet")
        self.assertEqual(mimic["securityContext"], {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                    "capabilities": {"drop": ["ALL"]}})
        self.assertEqual(mimic["args"][-2:], ["--set", "pod=$(MIMIC_POD_INDEX)"])
        self.assertNotIn("devices.kubevirt.io/kvm", mimic["resources"]["limits"])

    def test_kvm_is_a_resource(self):
        for values, resource in ((["kvm.enabled=true"], "devices.kubevirt.io/kvm"),
                                 (["kvm.enabled=true", "kvm.resource=example.com/kvm"], "example.com/kvm")):
            limits = container(objects(*values), "StatefulSet")["resources"]["limits"]
            self.assertEqual((limits[resource], "memory" in limits), (1, True))

    def test_number_chooses_a_machine(self):
        self.assertEqual(container(objects("fleet.number=machine"), "StatefulSet")["args"][-2:],
                         ["--machine-number", "$(MIMIC_POD_INDEX)"])

    def test_sweep_has_all_combinations(self):
        with tempfile.TemporaryDirectory() as folder:
            found = objects(values_file(folder, {"fleet": {"enabled": False}, "sweep": {
                "enabled": True, "command": ["sh", "-c", "exit $X"], "matrix": {"b": [1, 2000000], "a": ["x", "512M"]},
                "files": {"one": "1", "two": "2"}}}))
        (config,) = [each for (kind, _), each in found.items() if kind == "ConfigMap"]
        (job,) = [each for (kind, _), each in found.items() if kind == "Job"]
        self.assertEqual(job["spec"]["completions"], 8)
        cases = {(config["data"]["%d.yaml" % i], *(line for line in config["data"]["%d.set" % i].splitlines() if "#" not in line))
                 for i in range(8)}
        self.assertEqual(cases, {(file, "a=" + a, "b=" + b) for file in "12" for a in ("x", "512M") for b in ("1", "2000000")})
        self.assertIn("# Case 0 of 8, file one", config["data"]["0.set"])
        self.assertEqual(container(found, "Job")["args"][-4:], ["--", "sh", "-c", "exit $X"])

    def test_another_sweep_is_another_job(self):
        names = {name for values in ([], ["sweep.matrix.a={1,2}"], ["image.tag=v2"], ["sweep.topology=x"])
                 for kind, name in objects(*SWEEP, *values) if kind == "Job"}
        self.assertEqual(len(names), 4)

    def test_a_volume_for_results(self):
        found = objects(*SWEEP, "sweep.resultsVolume.persistentVolumeClaim.claimName=pvc")
        job = container(found, "Job")
        self.assertIn("/results/$(JOB_COMPLETION_INDEX).json", job["args"])
        self.assertIn("/results", [mount["mountPath"] for mount in job["volumeMounts"]])

    def test_what_is_wrong_is_refused(self):
        for wrong in ("fleet.replica=3", "fleet.number=x", "fleet.set.a-b=1", "sweep.matrix.a=1", "sweep.matrix.a={-1}",
                      "sweep.enabled=true", "accel=xen", "image.pullPolicy=never", "kvm.resource=kvm", "fleet.set.a={1}",
                      "fleet.set.a=x y", "fullnameOverride=A"):
            done = helm.template(wrong, chart=CHART)
            self.assertNotEqual(done.returncode, 0, wrong)
            self.assertIn("values don't meet the specifications of the schema", done.stderr, wrong)


class Guide(unittest.TestCase):
    """The YAML of the guide."""

    def plan(self, path, *words):
        done = subprocess.run([MIMIC, "plan", path, "--json", *words], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        (machine,) = json.loads(done.stdout)["machines"]
        return machine["name"], machine["memory"] >> 20, len(machine["devices"])

    def test_files_are_what_the_guide_says(self):
        fleet, sweep = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "f.yaml")
            pathlib.Path(path).write_text(fleet)
            self.assertEqual(self.plan(path, "--set", "pod=3"), ("m3", 512, 2))
            found = objects(values_file(folder, sweep))
            (config,) = [each for (kind, _), each in found.items() if kind == "ConfigMap"]
            seen = set()
            for name, text in config["data"].items():
                pathlib.Path(folder, name).write_text(text)
            for index in range(6):
                words = [word for line in config["data"]["%d.set" % index].splitlines() if "#" not in line for word in ("--set", line)]
                seen.add(self.plan(os.path.join(folder, "%d.yaml" % index), *words))
            self.assertEqual(seen, {("m", memory, gpus) for memory in (512, 1024) for gpus in (1, 2, 4)})
        self.assertEqual(yaml.safe_load(sweep)["sweep"]["command"], container(found, "Job")["args"][-3:])


if __name__ == "__main__":
    MIMIC = os.path.join(os.path.abspath(sys.argv.pop(1)), "mimic")
    unittest.main()
