"""A cluster of Ceph on loopback, as small as can be: a monitor, one OSD that keeps all in memory, a gateway.

Each has a key of its own (cephx) with no more rights than it needs. There is no manager: only statistics miss it.
"""

import os
import subprocess
import uuid

from harness import Process, free_port

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
mon initial members = a
public addr = 127.0.0.1
ms bind msgr1 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {folder}/$name.keyring
run dir = {folder}
crash dir = {folder}
admin socket = {folder}/$name.sock
log file = {folder}/$name.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
mon data avail crit = 1
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 268435456
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000

[client.rgw]
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw enable apis = s3, sts, iam
rgw s3 auth use sts = true
rgw sts key = {session_key}
debug rgw = 20
"""

KEYS = {
    "mon.": ["mon", "allow *"],
    "client.admin": ["mon", "allow *", "osd", "allow *"],
    "osd.0": ["mon", "allow profile osd", "osd", "allow *"],
    "client.rgw": ["mon", "allow rw", "osd", "allow rwx"],
}


class Cluster:
    """Ceph in a folder of its own. `authority` is the file with who signed the issuer's certificate."""

    def __init__(self, place, authority):
        self.folder = place.path("ceph")
        self.authority = authority
        os.makedirs(os.path.join(self.folder, "mon"))
        os.makedirs(os.path.join(self.folder, "osd"))
        self.fsid = str(uuid.uuid4())
        self.monitor_port = free_port()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with open(self.path("ceph.conf"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(folder=self.folder, fsid=self.fsid, monitor=self.monitor_port,
                                            gateway=port, session_key=os.urandom(8).hex()))
        self.environment = dict(os.environ, CEPH_CONF=self.path("ceph.conf"))
        self.start_monitor()
        self.start_osd()
        self.start_gateway()

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command, **options):
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=self.environment,
                                check=False, **options)
        if result.returncode != 0:
            raise RuntimeError(f"{command[0]} {command[1]}: {result.stdout}{result.stderr}")
        return result.stdout

    def start(self, name, *command):
        return Process(name, command, self.path(name + ".out"), env=self.environment)

    def make_keys(self):
        """A keyring each, and one with all of them for the monitor's birth."""
        for name, caps in KEYS.items():
            pairs = [part for i in range(0, len(caps), 2) for part in ("--cap", caps[i], caps[i + 1])]
            self.run("ceph-authtool", "--create-keyring", self.path(name + ".keyring"), "--gen-key", "-n", name, *pairs)
            with open(self.path("all.keyring"), "a", encoding="ascii") as file:
                with open(self.path(name + ".keyring"), encoding="ascii") as keyring:
                    file.write(keyring.read())

    def start_monitor(self):
        self.make_keys()
        self.run("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{self.monitor_port}]", "--fsid", self.fsid,
                 self.path("monmap"))
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.path("monmap"), "--keyring",
                 self.path("all.keyring"))
        self.start("monitor", "ceph-mon", "-f", "-i", "a")

    def start_osd(self):
        identity = str(uuid.uuid4())
        self.run("ceph", "osd", "new", identity)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        self.start("osd", "ceph-osd", "-f", "-i", "0")

    def start_gateway(self):
        """Its HTTP client knows the system's authorities only: ours take their place, for it alone."""
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        alone = ["unshare", "--mount", "--propagation", "private"]
        if os.geteuid() != 0:
            alone += ["--user", "--map-root-user"]
        self.gateway = self.start("gateway", *alone, "sh", "-c",
                                  f'mount --bind "$1" {bundle} && exec radosgw -f -n client.rgw', "sh", self.authority)

    def gateway_log(self):
        with open(self.path("client.rgw.log"), encoding="utf-8", errors="replace") as file:
            return file.read()
