#!/usr/bin/python3
"""A PostgreSQL server of one's own: Debian's package, an unprivileged user, a socket in a folder.

As a module for the integration tests: Cluster. As a program for the unit tests:

    postgres.py serve FOLDER    a cluster in FOLDER that runs until standard input ends; prints one
                                line when it answers; removes the folder at the end
"""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

WAIT_S = 60
SETTINGS = """
listen_addresses = ''
max_connections = 60
shared_buffers = 16MB
autovacuum_naptime = 1min
logging_collector = off
log_min_messages = warning
recovery_init_sync_method = syncfs
"""


def programs():
    """The folder of the newest server that is installed, 15 or later."""
    found = sorted((int(path.split("/")[4]), path) for path in
                   glob.glob("/usr/lib/postgresql/[0-9]*/bin") if os.path.exists(path + "/initdb"))
    if not found or found[-1][0] < 15:
        raise RuntimeError("no PostgreSQL 15 or later: run deploy/install-dependencies --tests")
    return found[-1][1]


def unprivileged():
    """How its programs are started: never as root, whom the server refuses."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def end_with_parent():
    """In the new process: it ends at once when whoever started it does, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


class Cluster:
    """A server whose superuser is `postgres`, without passwords, on a socket in its folder."""

    def __init__(self, folder, settings="", port=5432):
        self.folder = folder
        self.port = port
        self.user = unprivileged()
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "log")
        self.settings = SETTINGS + settings
        self.process = None

    def url(self, database="stagepass", user="postgres"):
        port = "" if self.port == 5432 else "&port=%d" % self.port
        return "postgresql:///%s?host=%s&user=%s%s" % (database, self.folder, user, port)

    def run(self, program, *arguments, check=True):
        result = subprocess.run([os.path.join(programs(), program), *arguments], **self.user,
                                cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPORT": str(self.port)},
                                stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and result.returncode != 0:
            raise RuntimeError("%s: %s" % (program, result.stdout + result.stderr))
        return result

    def own_folder(self):
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        if self.user:
            os.chown(self.folder, self.user["user"], self.user["group"])

    def make(self, encoding="UTF8"):
        self.own_folder()
        self.run("initdb", "-A", "trust", "-U", "postgres", "-E", encoding, "--locale=C",
                 "--no-sync", "--no-instructions", "-D", self.data)
        self.configure(self.settings)

    def configure(self, settings):
        with open(os.path.join(self.data, "postgresql.conf"), "a") as file:
            file.write(settings + "unix_socket_directories = '%s'\nport = %d\n" % (self.folder, self.port))

    def start(self):
        """Start it, and wait until it answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(programs(), "postgres"), "-D", self.data], **self.user, cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_parent)
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.run("pg_isready", "-q", "-h", self.folder, check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        with open(self.log, errors="replace") as log:
            raise RuntimeError("PostgreSQL does not start:\n" + log.read()[-2000:])

    def sql(self, text, database="stagepass", user="postgres"):
        """Run it; rows as lines, columns with |."""
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U",
                        user, "-d", database, "-c", text).stdout.rstrip("\n")

    def session(self, text, database="stagepass"):
        """A client that has been told this, and does not end before it is told to."""
        process = subprocess.Popen([os.path.join(programs(), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
                                    "-p", str(self.port), "-U", "postgres", "-d", database], **self.user, cwd="/",
                                   env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
        process.stdin.write(text + "\n")
        process.stdin.flush()
        return process

    def stop(self, number=signal.SIGINT):
        """SIGINT: as an administrator does. SIGQUIT: at once, like a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        if self.process is not None:
            self.process.wait(WAIT_S)
            self.process = None

    def kill(self):
        """All of it, as when the machine is gone."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT_S)
        self.process = None
        for name in os.listdir(self.folder):
            if name.startswith(".s.PGSQL."):
                os.unlink(os.path.join(self.folder, name))

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def main(arguments):
    if len(arguments) != 3 or arguments[1] != "serve":
        print(__doc__, file=sys.stderr)
        return 2
    cluster = Cluster(arguments[2])
    try:
        cluster.make()
        cluster.start()
        cluster.sql("CREATE DATABASE stagepass", "postgres")
        print(cluster.url(), flush=True)
        sys.stdin.read()
    finally:
        cluster.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
