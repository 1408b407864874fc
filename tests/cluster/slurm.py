"""A real Slurm on this host: one controller, three nodes of four processors, munge; loopback only, without root.

Everything lies in one directory and is started and stopped by process ids. The controller and each node can be killed
and started again by name.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo")
NODES = ("n1", "n2", "n3")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"

CONFIGURATION = """
ClusterName=modproptest
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerParameters=sched_interval=1,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=300
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes=n[1-3] Default=YES MaxTime=60 PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes=n[1-3] MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""


def missing():
    """The programs that this host lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def free_ports(count):
    """Consecutive ports that nobody listens on."""
    for first in range(20000 + os.getpid() * 16 % 30000, 60000, 16):  # runs beside each other begin apart
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


class Slurm:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.conf = self.folder / "slurm.conf"
        self.environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": PATH}
        (self.folder / "state").mkdir(parents=True)
        munge = self.folder / "munge"
        munge.mkdir(mode=0o700)
        key = munge / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        port = free_ports(4)
        nodes = "\n".join(
            f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port + 1 + i} CPUs=4 RealMemory=2000"
            for i, name in enumerate(NODES)
        )
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        self.conf.write_text(CONFIGURATION.format(folder=self.folder, port=port, user=user, nodes=nodes))
        self.run(
            "munged",
            f"--key-file={key}",
            f"--socket={self.folder}/munge.socket",
            f"--pid-file={self.folder}/munged.pid",
            f"--seed-file={munge}/seed",
            f"--log-file={munge}/log",
            "--force",
        )
        self.start("slurmctld")
        for name in NODES:
            self.start(name)
        self.wait(lambda: self.idle() == len(NODES))

    def run(self, *words, check=True, **options):
        return subprocess.run(
            [str(word) for word in words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
            **options,
        )

    def start(self, name):
        if name == "slurmctld":
            self.run("slurmctld", "-f", self.conf)
        else:
            (self.folder / f"spool.{name}").mkdir(exist_ok=True)
            self.run("slurmd", "-N", name, "-f", self.conf)
        self.wait(lambda: self.pid(name))

    def pid(self, name):
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def kill(self, name, number=signal.SIGKILL):
        """What is killed leaves no file with its process id, which another process may have one day."""
        os.kill(self.pid(name), number)
        if number == signal.SIGKILL:
            (self.folder / f"{name}.pid").unlink()

    def idle(self):
        states = self.run("sinfo", "-hN", "-p", "main", "-o", "%T", check=False).stdout.split()
        return states.count("idle")

    def jobs(self, states="all"):
        """[(id, state)] of all allocations."""
        text = self.run("squeue", "-h", "-t", states, "-o", "%i %T").stdout
        return [tuple(line.split()) for line in text.splitlines()]

    @staticmethod
    def wait(condition, timeout=120):
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < end, f"not within {timeout} s"
            time.sleep(0.1)
        return value

    def stop(self):
        """At once: allowed to end by themselves they take a dozen seconds."""
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        self.run("scancel", "--signal=KILL", "--full", "-u", user, check=False)
        self.run("scancel", "-u", user, check=False)
        pids = [pid for pid in map(self.pid, (*NODES, "slurmctld", "munged")) if pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            self.wait(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids), 10)
