#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart deploy/helm/mimic: lint, what it renders with many values, what its schema refuses, and that plain YAML is not stale."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

import helm

GUARD = 'device.driver == "mock-accel.example.com"'

# Each is a file of values. Together they say something of every key of values.yaml, which a test checks.
VALUE_SETS = {
    "names": {"nameOverride": "accel", "fullnameOverride": "my-accel",
              "serviceAccount": {"create": True, "name": "true", "annotations": {"a": "b"}}},
    "image": {"image": {"repository": "registry.example/x/mimic-dra", "tag": "v1", "pullPolicy": "Never"},
              "imagePullSecrets": [{"name": "pull"}]},
    "node": {"driverName": "accel.example.org", "kubeletDir": "/var/lib/k0s/kubelet", "cdiDir": "/etc/cdi", "hostNetwork": True,
             "root": "/var/lib/mimic/tree"},
    "driver": {"vfs": "on-demand", "shared": True, "log": {"format": "text", "level": "debug"}, "http": {"port": 9100},
               "extraArgs": ["--aer-hold=5"], "extraEnv": [{"name": "X", "value": "y"}]},
    "placement": {"nodeSelector": {"accel": "yes"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
                  "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                      {"matchExpressions": [{"key": "accel", "operator": "Exists"}]}]}}}},
    "pod": {"updateStrategy": {"maxSurge": 0, "maxUnavailable": "10%"}, "terminationGracePeriodSeconds": 5,
            "resources": {"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"cpu": "5m", "memory": "16Mi"}},
            "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "seLinuxOptions": {"type": "spc_t"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "mimic"}},
    "bare": {"rbac": {"create": False}, "admissionPolicy": {"enabled": False},
             "serviceAccount": {"create": False, "name": "mine"}},
    "classes": {"deviceClasses": {
        "mock-accel": {"enabled": False, "selector": "", "extendedResourceName": ""},
        "mock-accel-pf": {"enabled": True, "selector": "true", "extendedResourceName": "example.com/accel"},
        "mock-accel-vf": {"enabled": True, "selector": "false ||\ntrue", "extendedResourceName": "example.com/vf"},
        "large": {"enabled": True, "selector": 'device.capacity["mock-accel.example.com"].memory.isGreaterThan(quantity("8Gi"))'}}},
    "network": {"networkPolicy": {"enabled": True, "from": [{"podSelector": {}}], "apiServerPorts": [6443]},
                "podMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "prometheus"}}},
    "module": {"kernelModule": {"enabled": True, "modules": ["mock-accel", "fake-sriov-vgpu"], "kernels": "^6\\.",
                                "image": {"repository": "registry.example/modules", "tag": "1", "pullPolicy": "Always"},
                                "imageRepoSecret": "y", "buildConfigMap": "1", "selector": {"accel": "yes"}}},
}

# Fields of KMM's Module v1beta1 that the chart may use, read from its CRD (2026-07).
MODULE_FIELDS = {
    "spec": {"moduleLoader", "imageRepoSecret", "selector", "tolerations"},
    "container": {"modprobe", "imagePullPolicy", "kernelMappings"},
    "modprobe": {"moduleName", "dirName"},
    "mapping": {"regexp", "containerImage", "build"},
}


def leaves(value, path=()):
    """The keys of a tree of values; what is a map of the user's own counts as one."""
    if isinstance(value, dict) and value and path[-1:] not in {("nodeSelector",), ("resources",)}:
        for key, each in value.items():
            yield from leaves(each, path + (key,))
    else:
        yield path


class ChartTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def values_file(self, name):
        path = self.folder / (name + ".yaml")
        path.write_text(json.dumps(VALUE_SETS[name]))
        return path

    def rendered(self, name):
        return helm.objects(self.values_file(name))

    def daemon_set(self, *values):
        found, = [each for (kind, _), each in helm.objects(*values).items() if kind == "DaemonSet"]
        return found

    def test_lint(self):
        # NOTES.txt has words for versions before 1.36.
        for kubernetes in ("1.35.0", helm.KUBERNETES):
            result = helm.run("lint", "--strict", "--kube-version", kubernetes, helm.CHART)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_set_of_values_renders_in_every_version(self):
        for kubernetes in ("1.34.0", "1.36.3", "1.37.2"):
            for name in VALUE_SETS:
                with self.subTest(kubernetes=kubernetes, values=name):
                    self.assertTrue(helm.objects(self.values_file(name), kubernetes=kubernetes))
        self.assertIn("incompatible", helm.template(kubernetes="1.33.0").stderr)

    def test_the_sets_speak_of_every_key(self):
        said = {path for values in VALUE_SETS.values() for path in leaves(values)}
        there = set(leaves(yaml.safe_load((helm.CHART / "values.yaml").read_text())))
        self.assertEqual([path for path in there if not any(each[:len(path)] == path for each in said)], [])

    def test_the_schema_has_the_keys_of_the_values_and_each_is_explained(self):
        text = (helm.CHART / "values.yaml").read_text()
        schema = json.loads((helm.CHART / "values.schema.json").read_text())
        self.assertEqual(set(schema["properties"]) - {"global"}, set(yaml.safe_load(text)))
        # A comment above the key, above its first member, or above the keys that it stands directly below.
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if re.match(r"\w+:", line):
                above = number - 1
                while re.match(r"\w+:", lines[above]):
                    above -= 1
                self.assertTrue(lines[above].startswith("#") or lines[number + 1].lstrip().startswith("#"), line)

    def test_schema_refuses(self):
        for value in ("image.tagg=x", "nosuch=1", "vfs=maybe", "http.port=-1", "http.port=70000", "http.port=http", "driverName=Bad_Name",
                      "cdiDir=run/cdi", "root=/", "kubeletDir=/var/lib/kubelet/", "deviceClasses.x.selector=true",
                      "deviceClasses.Bad_.enabled=true", "deviceClasses.mock-accel.extendedResourceName=noslash",
                      "kernelModule.modules={nope}", "image.pullPolicy=Sometimes", "image.repository=has:tag:",
                      "updateStrategy.maxSurge=many", "podMonitor.interval=often", "log.format=xml", "log.level=loud",
                      "seLinuxOptions.typ=spc_t", "networkPolicy.apiServerPorts={0}"):
            with self.subTest(value=value):
                result = helm.template(value)
                self.assertNotEqual(result.returncode, 0, result.stdout)
                self.assertRegex(result.stderr, "values don't meet the specifications of the schema")

    def test_refused_combinations(self):
        for values, message in ((["serviceAccount.create=false"], "serviceAccount.name"),
                                (["podMonitor.enabled=true", "http.port=0"], "http.port"),
                                (["podMonitor.enabled=true", "hostNetwork=true"], "network of their own")):
            with self.subTest(values=values):
                result = helm.template(*values)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(message, result.stderr)

    def test_default_objects(self):
        self.assertEqual(sorted(helm.objects()), [
            ("ClusterRole", "mimic-system-mimic"), ("ClusterRoleBinding", "mimic-system-mimic"), ("DaemonSet", "mimic"),
            ("DeviceClass", "mock-accel"), ("DeviceClass", "mock-accel-pf"), ("DeviceClass", "mock-accel-vf"),
            ("ServiceAccount", "mimic"), ("ValidatingAdmissionPolicy", "mimic-system-mimic-slices"),
            ("ValidatingAdmissionPolicyBinding", "mimic-system-mimic-slices")])

    def test_two_releases_share_no_object_but_the_classes(self):
        one = helm.objects(namespace="a")
        two = helm.objects(namespace="b")
        both = {key for key in set(one) & set(two) if "namespace" not in one[key]["metadata"]}
        self.assertEqual({kind for kind, _ in both}, {"DeviceClass"})

    def test_container_may_do_little(self):
        spec = self.daemon_set()["spec"]["template"]["spec"]
        container, = spec["containers"]
        self.assertEqual(container["securityContext"], {"privileged": False, "allowPrivilegeEscalation": False,
                                                        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
        self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        for shared in ("hostPID", "hostIPC", "hostNetwork"):
            self.assertFalse(spec.get(shared))
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
        self.assertEqual(paths, {"plugin": "/var/lib/kubelet/plugins/mock-accel.example.com", "cdi": "/var/run/cdi", "sys": "/sys",
                                 "registry": "/var/lib/kubelet/plugins_registry"})
        # The kubelet and the runtime open what the driver writes, and mount what it names, by the paths that the driver knows.
        for name in paths:
            self.assertEqual(mounts[name]["mountPath"], paths[name])

    def test_update_never_leaves_a_node_without_driver(self):
        rolling = self.daemon_set()["spec"]["updateStrategy"]["rollingUpdate"]
        self.assertEqual(rolling, {"maxSurge": 1, "maxUnavailable": 0})
        environment = self.daemon_set()["spec"]["template"]["spec"]["containers"][0]["env"]
        fields = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in environment}
        self.assertEqual(fields, {"NODE_NAME": "spec.nodeName", "POD_UID": "metadata.uid"})

    def test_two_pods_on_the_hosts_network_have_one_port(self):
        rolling = self.daemon_set("hostNetwork=true")["spec"]["updateStrategy"]["rollingUpdate"]
        self.assertEqual(rolling, {"maxSurge": 0, "maxUnavailable": 1})
        without = self.daemon_set("hostNetwork=true", "http.port=0")
        self.assertEqual(without["spec"]["updateStrategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        self.assertNotIn("livenessProbe", without["spec"]["template"]["spec"]["containers"][0])

    def test_values_reach_the_pod(self):
        node = [each for (kind, _), each in self.rendered("node").items() if kind == "DaemonSet"][0]
        container = node["spec"]["template"]["spec"]["containers"][0]
        self.assertIn("--kubelet-dir=/var/lib/k0s/kubelet", container["args"])
        self.assertIn("--cdi-dir=/etc/cdi", container["args"])
        self.assertIn("--root=/var/lib/mimic/tree", container["args"])
        self.assertIn("/var/lib/mimic/tree/sys", [each["mountPath"] for each in container["volumeMounts"]])
        self.assertIn("/var/lib/k0s/kubelet/plugins/accel.example.org", [each["mountPath"] for each in container["volumeMounts"]])
        driver = self.rendered("driver")["DaemonSet", "mimic"]["spec"]["template"]["spec"]["containers"][0]
        for option in ("--vfs=on-demand", "--shared", "--log-format=text", "--log-level=debug", "--http=:9100", "--aer-hold=5"):
            self.assertIn(option, driver["args"])
        self.assertIn({"name": "X", "value": "y"}, driver["env"])
        self.assertEqual(driver["readinessProbe"]["httpGet"], {"path": "/readyz", "port": 9100})
        pod = self.rendered("pod")["DaemonSet", "mimic"]["spec"]
        self.assertEqual(pod["updateStrategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": "10%"})
        self.assertEqual(pod["template"]["spec"]["securityContext"]["seLinuxOptions"], {"type": "spc_t"})
        image = self.rendered("image")["DaemonSet", "mimic"]["spec"]["template"]["spec"]
        self.assertEqual(image["containers"][0]["image"], "registry.example/x/mimic-dra:v1")
        self.assertEqual(image["imagePullSecrets"], [{"name": "pull"}])
        placement = self.rendered("placement")["DaemonSet", "mimic"]["spec"]["template"]["spec"]
        self.assertEqual(placement["nodeSelector"]["accel"], "yes")
        self.assertEqual(placement["tolerations"], [{"operator": "Exists"}])
        self.assertEqual(placement["priorityClassName"], "high")
        self.assertIn("nodeAffinity", placement["affinity"])

    def test_names(self):
        found = self.rendered("names")
        self.assertIn(("ServiceAccount", "true"), found)
        self.assertIn(("DaemonSet", "my-accel"), found)
        subject, = found["ClusterRoleBinding", "mimic-system-my-accel"]["subjects"]
        self.assertEqual((subject["name"], subject["namespace"]), ("true", "mimic-system"))
        condition = found["ValidatingAdmissionPolicy", "mimic-system-my-accel-slices"]["spec"]["matchConditions"][0]["expression"]
        self.assertIn("system:serviceaccount:mimic-system:true", condition)
        kinds = {kind for kind, _ in self.rendered("bare")}
        self.assertEqual(kinds, {"DaemonSet", "DeviceClass"})

    def test_rights_are_few(self):
        rules = helm.objects()["ClusterRole", "mimic-system-mimic"]["rules"]
        rights = {(group, resource): set(rule["verbs"])
                  for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}
        self.assertEqual(rights, {
            ("resource.k8s.io", "resourceslices"): {"get", "list", "watch", "create", "update", "patch", "delete"},
            ("resource.k8s.io", "resourceclaims"): {"get", "list"},
            ("", "nodes"): {"get"}})

    def test_every_class_looks_at_the_driver_first(self):
        for values in ((), (self.values_file("classes"),)):
            for (kind, name), each in helm.objects(*values).items():
                if kind == "DeviceClass":
                    expression = each["spec"]["selectors"][0]["cel"]["expression"]
                    # Brackets, so that an || in the values cannot get past the guard.
                    self.assertRegex(expression, "^%s( && \\(.*\\))?$" % re.escape(GUARD), name)
        found = self.rendered("classes")
        self.assertNotIn(("DeviceClass", "mock-accel"), found)
        self.assertEqual(found["DeviceClass", "mock-accel-pf"]["spec"]["extendedResourceName"], "example.com/accel")
        self.assertNotIn("extendedResourceName", found["DeviceClass", "large"]["spec"])
        self.assertNotIn(("DeviceClass", "mock-accel-vf"), helm.objects("deviceClasses.mock-accel-vf=null"))

    def test_network(self):
        found = self.rendered("network")
        policy = found["NetworkPolicy", "mimic"]["spec"]
        self.assertEqual(policy["ingress"], [{"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}])
        self.assertEqual(policy["egress"], [{"ports": [{"port": 6443, "protocol": "TCP"}]}])
        self.assertEqual(found["PodMonitor", "mimic"]["spec"]["podMetricsEndpoints"],
                         [{"port": "http", "path": "/metrics", "interval": "5s"}])

    def test_kernel_module_of_the_first_releases_readme(self):
        found = helm.objects("kernelModule.enabled=true", "kernelModule.image.tag=v0.1.0-fc43", namespace="mock-device")
        module = found["Module", "mock-accel"]
        self.assertEqual(module["apiVersion"], "kmm.sigs.x-k8s.io/v1beta1")
        container = module["spec"]["moduleLoader"]["container"]
        self.assertEqual(container["modprobe"], {"moduleName": "mock-accel", "dirName": "/opt"})
        self.assertEqual([each["containerImage"] for each in container["kernelMappings"]],
                         ["mimic.local/mimic-kernel-modules:v0.1.0-fc43"])
        self.assertNotIn("Module", {kind for kind, _ in helm.objects()})

    def test_modules_have_no_field_that_kmm_does_not_know(self):
        for (kind, name), each in self.rendered("module").items():
            if kind == "Module":
                container = each["spec"]["moduleLoader"]["container"]
                parts = {"spec": each["spec"], "container": container, "modprobe": container["modprobe"]}
                parts.update(mapping=container["kernelMappings"][0])
                for part, value in parts.items():
                    self.assertLessEqual(set(value), MODULE_FIELDS[part], name)
                self.assertEqual(each["spec"]["selector"], {"accel": "yes"})
                # Not what YAML 1.1 takes the words for.
                self.assertEqual(each["spec"]["imageRepoSecret"], {"name": "y"})
                self.assertEqual(container["kernelMappings"][0]["build"], {"dockerfileConfigMap": {"name": "1"}})

    def test_plain_manifests_are_what_the_chart_says(self):
        result = subprocess.run([helm.SOURCES / "deploy/manifests/render", "--check"], capture_output=True, text=True, check=False,
                                env={**os.environ, "HELM": helm.program("helm")})
        self.assertEqual(result.returncode, 0, result.stdout[:4000] + result.stderr)


if __name__ == "__main__":
    helm.program("helm")  # a skip is the whole test's
    unittest.main()
