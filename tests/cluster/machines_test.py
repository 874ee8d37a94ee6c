#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""machines_test.py MIMIC CHART: runs inside a test cluster (KUBECONFIG, kubectl and helm are set). Installs the chart, and does
what docs/kubernetes/machines.md says one can."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from reach import patiently

MIMIC, CHART = sys.argv[1:3]
TIMEOUT = 240  # for a condition; nothing is timed
TOPOLOGY = """version: 1
machine:
  name: m${pod:-0}
  cpus: 1
  memory: ${memory:-192M}
  devices:
    - name: gpu{index}
      model: mock-accel
      count: ${gpus:-1}
"""
VALUES = {
    "image": {"repository": "mimic.local/mimic", "tag": "test", "pullPolicy": "Never"},
    "hostNetwork": True,  # the test cluster has no CNI
    "topology": TOPOLOGY,
    "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
    "fleet": {"replicas": 2, "set": {"gpus": 2}},
    # The cluster's node has nobody's KVM to give.
    "accel": "tcg",
}
failures = 0


def check(what, good, detail=""):
    global failures
    print("%s %s%s" % ("ok" if good else "FAILED", what, "" if good else ": %s" % (detail,)), flush=True)
    failures += 0 if good else 1


def run(*command, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, **options)


def mimic(*words, **options):
    return patiently(lambda: run(MIMIC, "--context", "x", *words, **options))


def kubectl(*words):
    return patiently(lambda: run("kubectl", *words))


def until(what, condition):
    end = time.monotonic() + TIMEOUT
    seen = None
    while time.monotonic() < end:
        seen = condition()
        if seen:
            return seen
        time.sleep(0.5)
    print(kubectl("describe", "pods").stdout[-6000:])
    print(kubectl("logs", "-l", "app.kubernetes.io/name=mimic-machines", "--prefix", "--tail=40").stdout)
    raise SystemExit("FAILED: never came true: %s" % what)


def helm(*words, values=None):
    if values is not None:
        with open("/tmp/values.json", "w", encoding="ascii") as file:
            json.dump(values, file)
        words += ("--values", "/tmp/values.json")
    done = run("helm", *words)
    check("helm " + " ".join(words[:3]), done.returncode == 0, done.stderr)


def ready_pods():
    done = kubectl("get", "statefulset", "fleet-mimic-machines", "-o", "jsonpath={.status.readyReplicas}")
    return done.stdout == "2"


def fleet():
    helm("install", "fleet", CHART, values=VALUES)
    until("two ready pods", ready_pods)
    pods = ["fleet-mimic-machines-0", "fleet-mimic-machines-1"]
    rows = json.loads(mimic("ps", "--json").stdout)["machines"]
    check("ps --json has both machines in their pods",
          [(row["pod"], row["name"], row["phase"], row["functions"]) for row in rows]
          == [(pods[0], "m0", "running", 2), (pods[1], "m1", "running", 2)], rows)
    table = mimic("ps").stdout
    check("ps is a table of both", all(re.search(r"^%s +m%d +running +tcg " % (pod, i), table, re.M) for i, pod in enumerate(pods)), table)
    check("ps --names", mimic("ps", "--names").stdout.split() == ["%s/m%d" % (pod, i) for i, pod in enumerate(pods)])

    for word in ("m1", pods[1], pods[1] + "/m1"):
        done = mimic("exec", word, "--", "sh", "-c", "hostname; ls /sys/class/mock-accel; exit 3")
        check("exec in " + word, (done.returncode, done.stdout) == (3, "m1\nmock0\nmock1\n"), done)
    done = run(MIMIC, "--context", "x", "exec", "m0", "--", "cat", stdin=None, input="through\n")
    check("exec passes input", done.stdout == "through\n", done)
    done = mimic("exec", "m2", "--", "true")
    check("a machine that is not there", done.returncode == 125 and "no pod has a machine m2" in done.stderr, done)
    check("logs are those of the guest", "mimic: ready" in mimic("logs", "m0").stdout)
    check("kubectl logs are, too", "mimic: ready" in kubectl("logs", pods[0]).stdout)
    with subprocess.Popen([MIMIC, "--context", "x", "logs", "-f", pods[1]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as follow:
        check("logs -f comes while the machine runs", any("mimic: ready" in line for line in iter(follow.stdout.readline, "")))
        check("and goes on", follow.poll() is None)
        follow.terminate()
    done = mimic("verify", "m0", "m1")
    check("verify", done.returncode == 0, done)
    check("regs", "UUID" in mimic("regs", "m1", "gpu0").stdout)
    done = mimic("inject", "m1", "gpu1", "host-crash")
    check("inject reaches the pod", done.returncode == 0, done)
    until("the machine is degraded", lambda: any(
        (row["name"], row["phase"]) == ("m1", "degraded") for row in json.loads(mimic("ps", "--json").stdout or "{}").get("machines", [])))
    done = mimic("top", "--once")
    check("top shows all pods", done.returncode == 0 and all("== " + pod in done.stdout for pod in pods), done)
    done = mimic("--namespace", "kube-system", "ps", "--names")
    check("another namespace has none", (done.returncode, done.stdout) == (0, ""), done)
    done = mimic("--selector", "app.kubernetes.io/instance=other", "ps", "--names")
    check("another selector finds none", (done.returncode, done.stdout) == (0, ""), done)
    web()
    check_security(pods)


def command_line(pid):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return file.read()
    except OSError:  # it has just ended
        return b""


def web():
    with subprocess.Popen([MIMIC, "--context", "x", "web", "m0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#token=([0-9a-f]{64})\n", line)
            check("web prints an address", found is not None, line)
            if not found:
                return
            port, token = found.groups()
            base = "http://127.0.0.1:%s" % port
            with urllib.request.urlopen(base + "/", timeout=60) as page:
                check("web serves the page", b"<title>" in page.read().lower())
            request = urllib.request.Request(base + "/v1/machines", headers={"Authorization": "Bearer " + token})
            with urllib.request.urlopen(request, timeout=60) as answer:
                names = [machine["name"] for machine in json.load(answer)["machines"]]
            check("web answers for its pod's machine", names == ["m0"], names)
            try:
                urllib.request.urlopen(base + "/v1/machines", timeout=60)
                check("without the token nobody is let in", False)
            except urllib.error.HTTPError as error:
                check("without the token nobody is let in", error.code == 401, error.code)
        finally:
            server.send_signal(signal.SIGTERM)
    check("web ends by a signal", server.returncode == 0, server.returncode)
    until("no server is left in the pod", lambda: not any(
        b"--until-eof" in command_line(pid) for pid in filter(str.isdigit, os.listdir("/proc"))))


def check_security(pods):
    status = mimic_status(pods[0])
    check("not root, no capabilities, no new privileges", re.search(r"^Uid:\t65532", status, re.M)
          and re.search(r"^CapEff:\t0+$", status, re.M) and re.search(r"^NoNewPrivs:\t1", status, re.M), status)
    done = kubectl("exec", pods[0], "--", "mimic", "prepare", "/usr/share/mimic/images")
    check("the image cannot be written", done.returncode != 0, done)


def mimic_status(pod):
    """What the kernel says of a pod's QEMU or mimic, as the node sees it."""
    uid = kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}").stdout
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cgroup" % pid, encoding="ascii") as groups, open("/proc/%s/cmdline" % pid, "rb") as line:
                if uid in groups.read() and b"mimic" in line.read():
                    with open("/proc/%s/status" % pid, encoding="utf-8") as status:
                        return status.read()
        except OSError:
            continue
    return "no process of pod %s" % uid


def sweep():
    values = dict(VALUES, fleet={"enabled": False}, sweep={
        "enabled": True, "matrix": {"gpus": [1, 2]}, "parallelism": 2,
        "command": ["sh", "-c", "ls /sys/class/mock-accel | wc -l; [ -e /sys/class/mock-accel/mock1 ] || exit 7"]})
    helm("upgrade", "fleet", CHART, values=values)
    job = until("the job", lambda: kubectl("get", "jobs", "-o", "jsonpath={.items[0].metadata.name}").stdout)
    early = mimic("results", job)
    check("results before there are any name what lacks", early.returncode == 1, early)
    # FailureTarget comes first, while there may be numbers missing.
    failed = 'jsonpath={.status.conditions[?(@.type=="Failed")].status}'
    until("the job is done", lambda: kubectl("get", "job", job, "-o", failed).stdout == "True")
    done = mimic("results", job)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    check("results of each case", done.returncode == 0 and
          [(line["index"], line["parameters"], line["status"], line["stdout"]) for line in lines]
          == [(0, {"gpus": "1"}, 7, "1\n"), (1, {"gpus": "2"}, 0, "2\n")], done)
    status = json.loads(kubectl("get", "job", job, "-o", "json").stdout)["status"]
    check("the job says which case failed, and did not run it again", (status.get("completedIndexes"), status.get("failedIndexes"),
                                                                     status.get("failed")) == ("1", "0", 1), status)


def ends():
    """Pods end by themselves when they are told to, before their grace period, and nothing of them is left."""
    helm("uninstall", "fleet", "--wait")
    until("no pod is left", lambda: kubectl("get", "pods", "-o", "name").stdout == "")
    done = mimic("exec", "m0", "--", "true")
    check("then no machine runs", done.returncode == 125 and "none runs" in done.stderr, done)
    check("ps of no pods", json.loads(mimic("ps", "--json").stdout)["machines"] == [])


def main():
    fleet()
    sweep()
    ends()
    print("machines_test: %d failed" % failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
