#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart, the plain manifests and the examples against a real API server; who may write which slices; helm's life cycle.

Started by `tests/cluster/run BIN cluster --level controllers -- live_test.py`, which puts kubectl and KUBECONFIG here.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import yaml

import chart_test
import guides
import helm
import schemas
from examples_test import ExamplesTest  # noqa: F401 (its tests run here, on the one cluster)
from kubectl import kubectl, must

# Kinds of operators that are not installed here. tests/deploy/chart_test.py looks at them.
FOREIGN = {"Module", "PodMonitor"}
NAMESPACE = "mimic-system"
GROUPS = ["api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1", "apis/resource.k8s.io/v1", "apis/networking.k8s.io/v1",
          "apis/admissionregistration.k8s.io/v1", "apis/batch/v1"]


def slice_of(node, driver="mock-accel.example.com", version="v1", name=None):
    device = {"name": "mock0"} if version != "v1beta1" else {"name": "mock0", "basic": {}}
    return json.dumps({"apiVersion": "resource.k8s.io/" + version, "kind": "ResourceSlice", "metadata": {"name": name or node + "-slice"},
                       "spec": {"driver": driver, "nodeName": node, "devices": [device],
                                "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}}})


def plain(stream):
    """The documents of a stream of YAML without those of foreign kinds, as a List (in JSON: YAML 1.1 and 1.2 read "y" differently)."""
    items = [each for each in yaml.safe_load_all(stream) if each and each["kind"] not in FOREIGN]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The namespace is created by what a user applies first.
        must("apply", "-f", str(helm.SOURCES / "deploy/manifests/mimic.yaml"))
        for node in ("n1", "n2"):
            must("create", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}))
        create = ("create", "token", "mimic", "-n", NAMESPACE)
        cls.tokens = {node: must(*create, "--bound-object-kind", "Node", "--bound-object-name", node).strip() for node in ("n1", "n2")}
        cls.tokens["unbound"] = must(*create).strip()

    def setUp(self):
        must("delete", "resourceslices", "--all")

    def refused(self, result, message):
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertIn(message, result.stderr)

    def test_driver_writes_slices_of_its_node(self):
        token = self.tokens["n1"]
        must("create", "-f", "-", text=slice_of("n1"), token=token)
        must("patch", "resourceslice", "n1-slice", "--type=merge", "-p", '{"spec":{"pool":{"generation":2}}}', token=token)
        must("replace", "-f", "-", text=slice_of("n1").replace('"generation": 1', '"generation": 3'), token=token)
        self.assertEqual(must("get", "resourceslices", "-o", "jsonpath={.items[*].spec.pool.generation}", token=token), "3")
        must("delete", "resourceslice", "n1-slice", token=token)

    def test_driver_does_not_write_slices_of_another_node(self):
        token = self.tokens["n1"]
        for version in ("v1", "v1beta2"):
            self.refused(kubectl("create", "-f", "-", text=slice_of("n2", version=version), token=token),
                         "the driver of node 'n1' may not write slices of node 'n2'")
        must("create", "-f", "-", text=slice_of("n2"), token=self.tokens["n2"])
        self.refused(kubectl("patch", "resourceslice", "n2-slice", "--type=merge", "-p", '{"spec":{"pool":{"generation":2}}}', token=token),
                     "may not write slices of node 'n2'")
        self.refused(kubectl("delete", "resourceslice", "n2-slice", token=token), "may not write slices of node 'n2'")
        everywhere = json.loads(slice_of("n1", name="everywhere"))
        del everywhere["spec"]["nodeName"]
        everywhere["spec"]["allNodes"] = True
        self.refused(kubectl("create", "-f", "-", text=json.dumps(everywhere), token=token), "may not write slices of node ''")
        self.assertEqual(must("get", "resourceslices", "-o", "jsonpath={.items[*].metadata.name}"), "n2-slice")

    def test_driver_does_not_write_slices_of_another_driver(self):
        self.refused(kubectl("create", "-f", "-", text=slice_of("n1", driver="gpu.example.com"), token=self.tokens["n1"]),
                     "driver mock-accel.example.com may not write slices of driver gpu.example.com")

    def test_token_that_is_bound_to_no_node_writes_none(self):
        self.refused(kubectl("create", "-f", "-", text=slice_of("n1"), token=self.tokens["unbound"]), "bound to no node")

    def test_policy_is_about_the_driver_alone(self):
        must("create", "-f", "-", text=slice_of("n2", driver="gpu.example.com"))
        must("delete", "resourceslice", "n2-slice")

    def test_driver_may_no_more_than_it_needs(self):
        token = self.tokens["n1"]
        for verb, resource, may in (("get", "nodes", True), ("list", "nodes", False), ("update", "nodes", False),
                                    ("get", "resourceclaims.resource.k8s.io", True), ("list", "resourceclaims.resource.k8s.io", True),
                                    ("watch", "resourceclaims.resource.k8s.io", False),
                                    ("update", "resourceclaims.resource.k8s.io/status", False), ("get", "secrets", False),
                                    ("create", "pods", False), ("list", "pods", False), ("create", "events", False),
                                    ("deletecollection", "resourceslices.resource.k8s.io", False),
                                    ("create", "deviceclasses.resource.k8s.io", False)):
            resource, _, sub = resource.partition("/")
            options = ["--subresource", sub] if sub else []
            result = kubectl("auth", "can-i", verb, resource, "-n", "default", *options, token=token)
            self.assertEqual(result.stdout.strip(), "yes" if may else "no", (verb, resource, result.stderr))

    def test_every_set_of_values_is_accepted_by_the_server(self):
        for name, values in chart_test.VALUE_SETS.items():
            with self.subTest(values=name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                json.dump(values, file)
                file.flush()
                rendered = helm.template(pathlib.Path(file.name), release="other")
                self.assertEqual(rendered.returncode, 0, rendered.stderr)
                must("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=plain(rendered.stdout))

    def test_examples_are_accepted_by_the_server(self):
        files = sorted((helm.SOURCES / "examples/kubernetes").glob("*.yaml"))
        self.assertGreaterEqual(len(files), 8)
        for file in files:
            with self.subTest(file=file.name):
                # Objects in a namespace that the same file makes cannot be tried before it is there.
                for each in yaml.safe_load_all(file.read_text()):
                    if each["kind"] == "Namespace":
                        must("apply", "-f", "-", text=json.dumps(each))
                        self.addCleanup(must, "delete", "namespace", each["metadata"]["name"], "--wait=false")
                must("apply", "--dry-run=server", "--validate=strict", "-f", str(file))

    def test_kubeconform_finds_nothing_and_would(self):
        with tempfile.TemporaryDirectory() as folder:
            written = schemas.write(folder, lambda path: json.loads(must("get", "--raw", path)), GROUPS)
            self.assertGreater(written, 100)
            command = [helm.program("kubeconform"), "-strict", "-summary", "-schema-location", folder + "/" + schemas.LOCATION]
            deploy = helm.SOURCES / "deploy"
            files = [deploy / "manifests/mimic.yaml", *sorted((helm.SOURCES / "examples/kubernetes").glob("*.yaml"))]
            result = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("Errors: 0, Skipped: 0", result.stdout)
            wrong = (deploy / "manifests/mimic.yaml").read_text().replace("readOnlyRootFilesystem:", "readonlyRootFilesystem:")
            result = subprocess.run([*command, "-"], input=wrong, capture_output=True, text=True, check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("readonlyRootFilesystem", result.stdout)

    def test_helm_installs_upgrades_rolls_back_and_removes(self):
        """As docs/kubernetes/installation-guide.md and upgrade-guide.md say it, beside what the plain manifests made."""
        # The classes are the cluster's; the plain manifests have made them, and helm takes no others' objects.
        must("delete", "deviceclasses", "--all")
        self.addCleanup(must, "apply", "-f", str(helm.SOURCES / "deploy/manifests/mimic.yaml"))
        where = ["--namespace", "mock-device"]
        installed = helm.run("install", "mimic", helm.CHART, *where, "--create-namespace")
        self.assertEqual(installed.returncode, 0, installed.stderr)
        self.assertIn("kubectl get pods -n mock-device", installed.stdout)
        self.assertIn("spec.driver=mock-accel.example.com", installed.stdout)
        self.assertIn("--vfs=existing", must("get", "daemonset", "mimic", "-n", "mock-device", "-o", "yaml"))
        upgraded = helm.run("upgrade", "mimic", helm.CHART, *where, "--set", "vfs=on-demand")
        self.assertEqual(upgraded.returncode, 0, upgraded.stderr)
        self.assertIn("--vfs=on-demand", must("get", "daemonset", "mimic", "-n", "mock-device", "-o", "yaml"))
        back = helm.run("rollback", "mimic", "1", *where)
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("--vfs=existing", must("get", "daemonset", "mimic", "-n", "mock-device", "-o", "yaml"))
        removed = helm.run("uninstall", "mimic", *where)
        self.assertEqual(removed.returncode, 0, removed.stderr)
        for kind in ("deviceclasses", "clusterroles", "validatingadmissionpolicies"):
            self.assertEqual(must("get", kind, "-l", "app.kubernetes.io/managed-by=Helm", "-o", "name"), "")


class PlainYamlTest(unittest.TestCase):
    """Last, for it removes what the others have."""

    def test_commands_of_the_guides(self):
        for page in guides.PAGES:
            script = guides.script(page, "api")
            if script:
                result = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=helm.SOURCES, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, check=False)
                self.assertEqual(result.returncode, 0, page + ":\n" + result.stdout)
        self.assertEqual(must("get", "deviceclasses", "-l", "app.kubernetes.io/name=mimic", "-o", "name"), "")


if __name__ == "__main__":
    if "KUBECONFIG" not in os.environ:
        helm.skip("no KUBECONFIG; run it by ctest -R deploy_live_test")
    unittest.main(verbosity=2)
