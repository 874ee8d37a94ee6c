# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes control plane without nodes: etcd, API server, scheduler and controller manager on free ports of
127.0.0.1, in a folder of their own. Needs no root and no namespaces; everything ends with stop() or with our process."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONTROLLERS = ",".join((
    "resourceclaim-controller", "device-taint-eviction-controller", "namespace-controller", "serviceaccount-controller",
    "root-ca-certificate-publisher-controller", "garbage-collector-controller", "pod-garbage-collector-controller",
    "node-lifecycle-controller"))
TOKENS = 'admin-token,admin,u1,"system:masters"\nsched-token,system:kube-scheduler,u3\n'


def programs(*parts):
    """Paths of programs that tools/kube builds (or built before): {"kube": ..., "kwok": ...}, a name each part."""
    built = subprocess.run([str(ROOT / "tools" / "kube"), *parts], stdout=subprocess.PIPE, text=True, check=True)
    return {part: pathlib.Path(folder) / part for part, folder in zip(parts, built.stdout.split())}


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_ports(count):
    """Ports that nobody listens at. Another process may take one before we do: start() then tries others."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class ApiFailure(Exception):
    def __init__(self, status, text):
        super().__init__("%s %s" % (status, text[:400]))
        self.status = status


class ControlPlane:
    def __init__(self, folder, kube, scheduler=True):
        self.run = pathlib.Path(folder)
        self.kube = str(kube)
        self.with_scheduler = scheduler
        self.children = {}
        self.port = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self):
        for attempt in range(3):
            try:
                self._start()
                return self
            except ChildProcessError:
                self.stop()
                if attempt == 2:
                    raise
        return self

    def _start(self):
        etcd, peer, self.port = free_ports(3)
        certs = self.run / "certs"
        shutil.rmtree(self.run / "etcd", ignore_errors=True)
        certs.mkdir(parents=True, exist_ok=True)
        key = certs / "sa.key"
        if not key.exists():
            subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, stderr=subprocess.DEVNULL)
        (self.run / "tokens.csv").write_text(TOKENS, encoding="utf-8")
        self.spawn("etcd", self.kube, "etcd", "--data-dir=%s" % (self.run / "etcd"), "--unsafe-no-fsync",
                   "--listen-client-urls=http://127.0.0.1:%d" % etcd, "--advertise-client-urls=http://127.0.0.1:%d" % etcd,
                   "--listen-peer-urls=http://127.0.0.1:%d" % peer,
                   "--initial-advertise-peer-urls=http://127.0.0.1:%d" % peer,
                   "--initial-cluster=default=http://127.0.0.1:%d" % peer, "--log-level=warn",
                   # Writes fail after 5 s and twice this: a busy machine stops etcd for longer than the default's 7 s.
                   "--election-timeout=4000")
        self.spawn("apiserver", self.kube, "kube-apiserver", "--etcd-servers=http://127.0.0.1:%d" % etcd,
                   "--service-cluster-ip-range=10.96.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
                   "--service-account-key-file=%s" % key, "--service-account-signing-key-file=%s" % key,
                   "--token-auth-file=%s" % (self.run / "tokens.csv"), "--authorization-mode=Node,RBAC",
                   "--disable-admission-plugins=ServiceAccount", "--bind-address=127.0.0.1",
                   "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
                   "--secure-port=%d" % self.port, "--cert-dir=%s" % certs)
        self.kubeconfig("admin.conf", "admin-token")
        self.kubeconfig("sched.conf", "sched-token")
        self.wait_until(self.ready, "the API server is ready", 120)
        common = ("--leader-elect=false", "--secure-port=0")
        if self.with_scheduler:
            # The scheduler's own client is limited to 50 requests a second by default.
            self.spawn("scheduler", self.kube, "kube-scheduler", "--kubeconfig=%s" % (self.run / "sched.conf"),
                       "--kube-api-qps=1000", "--kube-api-burst=1000", *common)
            self.spawn("kcm", self.kube, "kube-controller-manager", "--kubeconfig=%s" % (self.run / "admin.conf"),
                       "--service-account-private-key-file=%s" % key, "--controllers=%s" % CONTROLLERS,
                       # Nobody renews the leases of simulated nodes.
                       "--node-monitor-grace-period=24h",
                       "--root-ca-file=%s" % (certs / "apiserver.crt"), "--kube-api-qps=1000", "--kube-api-burst=1000",
                       *common)
            self.wait_until(self.controllers_work, "the controllers work", 120)

    def controllers_work(self):
        """Their first work is done. A controller manager ends if the API server is silent for 10 s at its start."""
        code = self.children["kcm"].poll()
        if code is not None:
            raise ChildProcessError("kcm ended with %s:\n%s" % (code, self.log("kcm")))
        with contextlib.suppress(OSError, ApiFailure):
            return self.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        return None

    def spawn(self, name, *command, stdout=None):
        """A child whose log is NAME.log. It dies with us."""
        with open(self.run / (name + ".log"), "ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                                     preexec_fn=die_with_parent, start_new_session=True)
        self.children[name] = child
        return child

    def end(self, name, number=signal.SIGTERM, wait=20):
        child = self.children.pop(name)
        child.send_signal(number)
        try:
            return child.wait(wait)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def stop(self):
        for name in list(reversed(self.children)):
            # The API server waits a minute for watches when it is asked politely.
            self.end(name, signal.SIGKILL if name in ("apiserver", "etcd") else signal.SIGTERM)

    def log(self, name, lines=15):
        path = self.run / (name + ".log")
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def kubeconfig(self, name, token):
        path = self.run / name
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:%d" % self.port,
                                                   "certificate-authority": str(self.run / "certs" / "apiserver.crt")}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}), encoding="utf-8")
        return path

    def ready(self):
        for name in ("etcd", "apiserver"):
            code = self.children[name].poll()
            if code is not None:
                raise ChildProcessError("%s ended with %s:\n%s" % (name, code, self.log(name)))
        with contextlib.suppress(OSError, ApiFailure):
            return self.request("GET", "/readyz", parse=False) == b"ok"
        return False

    @staticmethod
    def wait_until(condition, what, seconds):
        """The first true value of `condition`. The limit is for a machine that is very busy, not for the test."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("not within %d s: %s" % (seconds, what() if callable(what) else what))
            time.sleep(0.1)

    # -- requests --------------------------------------------------------------------------------------------------

    def open(self, path):
        """The stream of a watch; lines."""
        context = ssl.create_default_context(cafile=str(self.run / "certs" / "apiserver.crt"))
        request = urllib.request.Request("https://127.0.0.1:%d%s" % (self.port, path),
                                         headers={"Authorization": "Bearer admin-token"})
        return urllib.request.urlopen(request, context=context)

    def request(self, method, path, body=None, content_type="application/json", parse=True):
        context = ssl.create_default_context(cafile=str(self.run / "certs" / "apiserver.crt"))
        request = urllib.request.Request(
            "https://127.0.0.1:%d%s" % (self.port, path), method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer admin-token", "Content-Type": content_type, "Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiFailure(error.code, error.read().decode(errors="replace")) from None
        return json.loads(data) if parse else data

    def get(self, path):
        return self.request("GET", path)

    def items(self, path):
        """All objects of a list, page by page."""
        found, token = [], ""
        while True:
            page = self.get("%s%slimit=500%s" % (path, "&" if "?" in path else "?", token and "&continue=" + token))
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    def create(self, path, body):
        return self.request("POST", path, body)

    def delete(self, path):
        return self.request("DELETE", path)
