"""Hosts in one machine: network namespaces with a process space and a name of their own, wired to one with services."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

NETWORK: Final = "10.213.0"
_NUMBERS = itertools.count(1)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, as soon as there is one."""
    deadline = time.monotonic() + 20
    while not (found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        assert time.monotonic() < deadline, f"{pid} starts nothing"
        time.sleep(0.01)
    return list(map(int, found))


@dataclass(frozen=True)
class Process:
    """A command in a host.

    Parameters
    ----------
    way : Popen
        What led it there and waits for it.
    pid : int
        Its number outside.
    log : Path
        What it said.
    """

    way: "subprocess.Popen[bytes]"
    pid: int
    log: Path

    @property
    def inner_pid(self) -> str:
        """Its number in the host."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line.split()[-1] for line in lines if line.startswith("NSpid:"))

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
        if number == signal.SIGCONT:
            self.way.send_signal(number)  # it stopped when its child did

    def wait(self, timeout_s: float) -> tuple[int, str]:
        """Return its exit code and what it said."""
        return self.way.wait(timeout_s), self.log.read_text()


@dataclass(frozen=True)
class Host:
    """A namespace.

    Parameters
    ----------
    name, address : str
        Of the host.
    pid : int
        Of the process that keeps it alive.
    cable : str
        Name of its end of the cable, and with ``-b`` of the bridge's end.
    ways : list of Popen
        What led commands there.
    """

    name: str
    address: str
    pid: int
    cable: str
    ways: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def prefix(self) -> list[str]:
        """What leads a command into the host: its own network, processes and name; files are shared."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", "--mount", "--pid", "--"]

    def run(self, *words: str) -> None:
        done = subprocess.run([*self.prefix, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)

    def start(self, words: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> "Process":
        """Start a command in the host, in a session of its own; ``log`` gets what it says."""
        folder.mkdir(exist_ok=True)
        with log.open("w") as said:
            # Who enters another tree of mounts stands at its root.
            command, outputs = [*self.prefix, "env", f"--chdir={folder}", *words], {"stdout": said, "stderr": said}
            way = subprocess.Popen(command, env=dict(environment), start_new_session=True, **outputs)
        self.ways.append(way)
        return Process(way, children_of(way.pid)[0], log)


@dataclass(frozen=True)
class Network:
    """Hosts at one bridge, which belongs to the first of them."""

    hosts: list[Host]

    def plug(self, host: Host, *, is_in: bool) -> None:
        """Pull a host's cable out of the bridge, or put it in again."""
        self.hosts[0].run("ip", "link", "set", f"{host.cable}-b", "up" if is_in else "down")


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Make hosts that reach one another; skip the test where this is refused. The first one has the bridge."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here: apt-get install iproute2")
    refused = subprocess.run(["unshare", *UNSHARED, "true"], capture_output=True, text=True, check=False)
    if refused.returncode:
        pytest.skip(f"no namespaces here: {refused.stderr.strip()}")
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(_host(name, number)) for number, name in enumerate(names, start=1)]
        try:
            _wire(hosts)
        except AssertionError as error:
            pytest.skip(f"no network between namespaces here: {error}")
        yield Network(hosts)


UNSHARED: Final = ("--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


@contextlib.contextmanager
def _host(name: str, number: int) -> Iterator[Host]:
    with subprocess.Popen(["unshare", *UNSHARED, "sleep", "infinity"], start_new_session=True) as keeper:
        ways: list[subprocess.Popen[bytes]] = []
        try:
            cable = f"c{os.getpid() % 10**6}{next(_NUMBERS)}"
            host = Host(name, f"{NETWORK}.{number}", children_of(keeper.pid)[0], cable, ways)
            host.run("hostname", name)
            yield host
        finally:
            keeper.kill()  # and with it all that is in there
            for way in ways:
                way.kill()
                way.wait()


def _wire(hosts: list[Host]) -> None:
    first, *others = hosts
    first.run("ip", "link", "add", "bridge", "type", "bridge")
    first.run("ip", "link", "set", "bridge", "up")
    first.run("ip", "address", "add", f"{first.address}/24", "dev", "bridge")
    for host in hosts:
        host.run("ip", "link", "set", "lo", "up")
    for host in others:
        ends = ("name", host.cable, "type", "veth", "peer", "name", f"{host.cable}-b")
        # Made in the bridge's host, then one end is pushed into the other: its process number is seen from outside.
        subprocess.run(["nsenter", "--target", str(first.pid), "--net", "ip", "link", "add", *ends], check=True)
        subprocess.run(
            ["nsenter", "--target", str(first.pid), "--net", "ip", "link", "set", host.cable, "netns", str(host.pid)],
            check=True,
        )
        first.run("ip", "link", "set", f"{host.cable}-b", "master", "bridge", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", host.cable)
        host.run("ip", "link", "set", host.cable, "up")
