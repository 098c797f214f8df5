"""A SLURM of two nodes on this machine, without cgroups: its daemons on loopback, and munge.

Debian's slurmd is told which node it is by -N; each has a port, a spool and half the processors.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults._server import free_port
from testing.project import needs

UP_WITHIN = 60.0

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0,requeue_delay=1
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
KillWait=5
SlurmdTimeout=5
ReturnToService=2
PartitionName=all Nodes=ALL Default=YES State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={processors}\n"
NODES = ("node0", "node1")


@dataclass(frozen=True, kw_only=True)
class Slurm:
    folder: Path
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """What a user's commands are run with."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *command: str) -> str:
        environ = {**os.environ, **self.environ}
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        return done.stdout + done.stderr

    def queue(self) -> list[str]:
        """State and name of each job in the queue."""
        return self.ask("squeue", "--noheader", "--array", "--format=%T %j").splitlines()

    def kill(self, node: str) -> None:
        """Ends a node as a power cut does: nothing of it says a last word."""
        self.nodes[node].kill()
        self.nodes[node].wait()
        jobs = [pid for pid in _processes() if f"SLURMD_NODENAME={node}" in _file(pid, "environ")]
        parents = {int(_file(pid, "stat").rpartition(")")[2].split()[1]) for pid in jobs}
        above = [pid for pid in parents if _file(pid, "comm").startswith("slurmstepd")]
        for pid in (*above, *jobs):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start(self, node: str) -> None:
        conf = str(self.folder / "slurm.conf")
        self.nodes[node] = _started(["slurmd", "-D", "-c", "-f", conf, "-N", node], self)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _file(process: int, name: str) -> str:
    """What /proc has of a process; of one that has ended, zeros."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/{name}").read_text(errors="replace")
    return "0 (gone) Z 0"


@contextlib.contextmanager
def serving() -> Iterator[Slurm]:
    """Skips the test where SLURM is not installed, or for who is not root."""
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        needs(program)
    if os.getuid():
        needs("slurmctld of root's")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    slurm = Slurm(folder=folder)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        _configure(folder)
        for command in _commands(folder):
            processes.append(_started(command, slurm))
            time.sleep(0.5)  # each needs the one before
        for node in NODES:
            slurm.start(node)
        _wait(slurm, [*processes, *slurm.nodes.values()])
        yield slurm
    finally:
        slurm.ask("scancel", "--user=root")
        for process in (*slurm.nodes.values(), *reversed(processes)):
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path) -> None:
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    text = CONF.format(
        folder=folder,
        host=socket.gethostname(),
        controller_port=free_port(),
    )
    processors = max(1, len(os.sched_getaffinity(0)) // len(NODES))
    about = {"host": socket.gethostname(), "processors": processors}
    for node in NODES:
        text += NODE.format(name=node, port=free_port(), **about)
    (folder / "slurm.conf").write_text(text)


def _commands(folder: Path) -> list[list[str]]:
    files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid"}
    files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
    options = [f"--{name}={folder / file}" for name, file in files.items()]
    conf = str(folder / "slurm.conf")
    return [
        ["munged", "--foreground", "--force", *options],
        ["slurmctld", "-D", "-c", "-f", conf],
    ]


def _started(command: Sequence[str], slurm: Slurm) -> subprocess.Popen[bytes]:
    log = (slurm.folder / f"{command[0]}-{command[-1].rpartition('/')[2]}.out").open("ab")
    program = str(needs(command[0]))
    return subprocess.Popen(
        ["setpriv", "--pdeathsig=TERM", program, *command[1:]],  # when the tests are killed
        env={**os.environ, **slurm.environ},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait(slurm: Slurm, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until both nodes take jobs."""
    until = time.monotonic() + UP_WITHIN
    while slurm.ask("sinfo", "--noheader", "--Node", "--format=%T").split() != ["idle", "idle"]:
        logs = "\n".join(path.read_text() for path in slurm.folder.glob("*.out"))
        assert time.monotonic() < until, f"SLURM is not up:\n{logs}"
        assert all(process.poll() is None for process in processes), logs
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
