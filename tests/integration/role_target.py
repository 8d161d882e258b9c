"""A PostgreSQL server as a target: set up as the targets' README tells its administrator."""

import os
import re
import shutil

from harness import ROOT

SETUP = os.path.join(ROOT, "deploy", "postgres", "lease-roles.sql")
PASSWORD = "a-password-of-the-brokers-own"

with open(os.path.join(ROOT, "broker", "targets", "README.md")) as document:
    TOLD = re.search(r"\n## postgres\n.*?```sql\n(.*?)```", document.read(), re.S).group(1).replace("'...'", "'%s'" % PASSWORD)


def prepare(cluster):
    """A database `orders` in which the broker may make roles that are members of `app`."""
    setup = os.path.join(cluster.folder, "lease-roles.sql")
    shutil.copy(SETUP, setup)
    os.chmod(setup, 0o644)
    cluster.sql("CREATE DATABASE orders", "postgres")
    cluster.run("psql", "-Xq", "-h", cluster.folder, "-U", "postgres", "-d", "orders", "-f", setup)
    for role in ("app", "app_migrate", "hidden", "report"):
        cluster.sql("CREATE ROLE %s" % role, "orders")
    in_each = [line for line in TOLD.splitlines() if "in each database" in line]
    once = [line for line in TOLD.splitlines() if "in each database" not in line]
    for statement in once + ["GRANT CONNECT ON DATABASE orders TO stagepass_broker"] + in_each:
        cluster.sql(statement, "orders")


def write_dsn(place, name, cluster, folder):
    """A file with the broker's own way to the server, whose socket is in the folder."""
    path = place.write(name, "postgresql:///orders?host=%s&port=%d&user=stagepass_broker&password=%s\n"
                       % (folder, cluster.port, PASSWORD))
    os.chmod(path, 0o600)
    return path


def roles(cluster):
    return set(cluster.sql("SELECT rolname FROM pg_roles WHERE rolname ~ '^stagepass_.*_'"
                           " AND rolname NOT IN ('stagepass_leases', 'stagepass_broker')", "orders").split())
