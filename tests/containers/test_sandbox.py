"""The hardening profile inside real boxes; each guard also with the guard removed."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.box_spec import to_api
from harness.boxes.containers import IDLE, Bind, Box, BoxBroke, Engine, Volume
from harness.boxes.sandbox import SandboxSession
from mcp_server.config import AgentSpec

from .boxes import python, ready, wait_for_log

pytestmark = pytest.mark.containers

Boxed = Callable[..., Box]
SessionOf = Callable[..., SandboxSession]

TRIES = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
SYSCALLS = {"unshare": (272, 0x10000000), "clone_newuser": (56, 0x10000000 | 17, 0, 0, 0, 0), "setns": (308, 0, 0), "mount": (165, 0, 0, 0, 0, 0),
    "ptrace": (101, 0, 0, 0, 0), "bpf": (321, 0, 0, 0), "keyctl": (250, 0, 0, 0, 0, 0), "add_key": (248, 0, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0), "perf_event_open": (298, 0, 0, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "userfaultfd": (323, 0), "open_by_handle_at": (304, 0, 0, 0), "kexec_load": (246, 0, 0, 0, 0), "init_module": (175, 0, 0, 0)}
SOCKETS = {"AF_ALG": (38, 5, 0), "AF_VSOCK": (40, 1, 0), "AF_PACKET": (17, 3, 0), "AF_INET_RAW": (2, 3, 1), "AF_BLUETOOTH": (31, 3, 1),
    "NETLINK_AUDIT": (16, 3, 9), "AF_XDP": (44, 3, 0)}
FORBIDDEN, ABSENT = 1, 38
for name, (number, *args) in SYSCALLS.items():
    done = libc.syscall(number, *args)
    if done == 0 and name == "clone_newuser":
        os._exit(0)
    print(name, "refused" if done == -1 and ctypes.get_errno() in (FORBIDDEN, ABSENT) else "open")
for name, kind in SOCKETS.items():
    try:
        socket.socket(*kind).close()
        print(name, "open")
    except PermissionError:
        print(name, "refused")
    except OSError as error:
        print(name, "open" if error.errno != 97 else "refused")
"""


def status_of(box: Box) -> dict[str, str]:
    text = box.exec(["cat", "/proc/self/status"], timeout_s=20).stdout.decode()
    return {line.split(":")[0]: line.split(":")[1].strip() for line in text.splitlines()}


# -- the profile
# -----------------------------------------------------------------------------------------------------


def test_a_box_has_no_capability_no_new_privileges_a_filter_and_no_root(boxed: Boxed) -> None:
    status = status_of(boxed())
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"], status["Uid"].split()[0]) == ("1", "2", "10001")


def test_dangerous_system_calls_and_socket_families_are_refused(boxed: Boxed) -> None:
    answers = dict(line.split() for line in python(boxed(), TRIES))
    assert len(answers) == 22
    assert set(answers.values()) == {"refused"}, answers


def test_without_our_filter_some_of_them_are_open(boxed: Boxed) -> None:
    answers = dict(line.split() for line in python(boxed(seccomp="unconfined"), TRIES))
    for name in ("unshare", "ptrace", "keyctl", "AF_VSOCK"):
        assert answers[name] == "open", answers


def test_the_root_is_read_only_and_the_workspace_is_not(boxed: Boxed, engine: Engine, run: str) -> None:
    volume = f"{run}-ro"
    engine.create_volume(volume, {sandbox.RUN: run})
    box = boxed(tmpfs=sandbox.TMPFS, volumes=(Volume(volume, "/workspace"),))
    script = "for d in / /etc /usr/bin /opt/harness /var/tmp /run /tmp /home/agent /workspace; do touch $d/x 2>/dev/null && echo $d; done"
    assert box.exec(["sh", "-c", script], timeout_s=20).stdout.split() == [
        b"/tmp",
        b"/home/agent",
        b"/workspace",
    ]
    box.remove()
    engine.remove_volume(volume)
    assert boxed(read_only=False).exec(["touch", "/var/tmp/x"], timeout_s=20).exit == 0  # the guard removed


def test_no_program_in_the_image_is_setuid(boxed: Boxed) -> None:
    assert (
        boxed()
        .exec(["find", "/", "-xdev", "-perm", "/6000", "-type", "f"], timeout_s=60)
        .stdout.decode()
        .split()
        == []
    )


def test_a_fork_bomb_ends_at_the_limit_of_its_box_and_goes_with_it(boxed: Boxed) -> None:
    box = boxed(pids=48)
    code = "import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0:\n      time.sleep(600)\n    n += 1\nexcept OSError as e:\n  print(n, e.errno)"
    count, errno = python(box, code)[0].split()
    assert (int(count) < 48, errno) == (True, "11")
    ended = box.exec(["sh", "-c", ":(){ :|:& };:; sleep 30"], timeout_s=2)
    assert ended.timed_out or ended.exit != 0
    box.remove()
    assert not box.alive()


def test_without_its_limit_the_same_count_of_forks_passes(boxed: Boxed) -> None:
    code = "import os, time\nfor n in range(100):\n  if os.fork() == 0:\n    time.sleep(5); os._exit(0)\nprint('all')"
    assert python(boxed(pids=400), code) == ["all"]


def test_a_memory_bomb_kills_itself_and_not_its_box(boxed: Boxed) -> None:
    box = boxed(memory_mb=64)
    assert box.exec(["python3", "-c", "x = bytearray(200 << 20)"], timeout_s=60).exit == 137
    assert box.alive()
    assert box.exec(["true"], timeout_s=20).exit == 0
    assert (
        boxed(memory_mb=512).exec(["python3", "-c", "x = bytearray(200 << 20)"], timeout_s=60).exit == 0
    )  # the guard removed


def test_a_full_disk_is_the_boxs_own(boxed: Boxed) -> None:
    box = boxed(tmpfs={"/tmp": "size=8m,mode=1777,nr_inodes=100"}, file_mb=4)
    full = box.exec(
        ["sh", "-c", "for i in 1 2 3 4; do head -c 4000000 /dev/zero >/tmp/$i || exit 9; done"], timeout_s=20
    )
    assert (full.exit, b"No space left" in full.stderr) == (9, True)
    box.exec(["sh", "-c", "rm -f /tmp/*"], timeout_s=20)
    assert box.exec(["head", "-c", "9000000", "/dev/zero"], timeout_s=20).exit == 0
    assert box.exec(["sh", "-c", "head -c 6000000 /dev/zero >/tmp/one"], timeout_s=20).exit != 0
    assert (
        box.exec(["sh", "-c", "for i in $(seq 200); do : >/tmp/f$i || exit 9; done"], timeout_s=20).exit != 0
    )


# -- the network
# -----------------------------------------------------------------------------------------------------

PROBE = """
import errno, socket, sys
targets = [line.split() for line in sys.argv[1].splitlines()]
for family, kind, host, port in targets:
    s = socket.socket(getattr(socket, family), getattr(socket, kind))
    s.settimeout(0.5)
    try:
        s.connect((host, int(port)))
        s.send(bytes.fromhex("123401000001000000000000076578616d706c6503636f6d0000010001"))
        s.recv(1)
        print(family, kind, host, port, "ANSWERS")
    except TimeoutError:
        print(family, kind, host, port, "silent")
    except OSError as error:
        print(family, kind, host, port, errno.errorcode.get(error.errno, error.errno))
"""
HOSTS = (
    "172.17.0.1", "172.17.0.2", "172.18.0.1", "10.0.0.1", "192.168.0.1", "192.168.65.2", "100.100.100.200", "169.254.169.254",
    "169.254.170.2", "1.1.1.1", "8.8.8.8", "0.0.0.0", "127.0.0.2", "127.0.0.11", "127.0.0.53", "255.255.255.255", "224.0.0.1",
)  # fmt: skip
HOSTS6 = ("::1", "fe80::1", "fd00:ec2::254", "2606:4700:4700::1111")


def probes(port_of_host: int, host_addresses: list[str]) -> str:
    ports = (22, 53, 80, 443, 2375, 8080, 8765, port_of_host)
    lines = [
        f"AF_INET SOCK_STREAM {host} {port}"
        for host in (*HOSTS, *host_addresses, "127.0.0.1")
        for port in ports
    ]
    lines += [f"AF_INET SOCK_DGRAM {host} {port}" for host in (*HOSTS, *host_addresses) for port in (53, 123)]
    lines += [
        f"AF_INET6 SOCK_STREAM {host} {port}" for host in HOSTS6 for port in (53, 80, 8765, port_of_host)
    ]
    return "\n".join(lines)


@pytest.fixture
def host_port() -> Iterator[int]:
    """A service of the host on all its addresses: what a bridge's gateway would let a box reach."""
    with socket.create_server(("0.0.0.0", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.sendall(b"hello")
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def host_addresses() -> list[str]:
    shown = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return [address for address in shown if ":" not in address]


def test_nothing_answers_but_the_door(session_of: SessionOf, engine: Engine, host_port: int) -> None:
    session = session_of()
    box = sandbox.start(engine, session, argv=["sleep", "600"], env={}, files={})
    assert [
        line.split(":")[0].strip()
        for line in box.exec(["tail", "-n", "+3", "/proc/net/dev"], timeout_s=20).stdout.decode().splitlines()
    ] == ["lo"]
    wait_for_log(box, "started")
    asked = probes(host_port, host_addresses())
    lines = python(box, PROBE, asked, timeout_s=300)
    assert len(lines) >= 120
    answering = [line.split()[2:4] for line in lines if line.endswith("ANSWERS")]
    assert answering == [
        ["0.0.0.0", "8765"],
        ["127.0.0.1", "8765"],
    ]  # one and the same: the first is a name for the second
    health = (
        "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8765/health').read().decode())"
    )
    assert python(box, health) == ["ok"]
    table = box.exec(["cat", "/proc/net/tcp", "/proc/net/tcp6"], timeout_s=20).stdout.decode().splitlines()
    listening = {int(line.split()[1].split(":")[1], 16) for line in table if line.split()[3] == "0A"}
    assert listening == {8765}
    names = "import socket\ntry: print(socket.gethostbyname('example.com'))\nexcept OSError as e: print('no name', e.errno)"
    assert python(box, names)[0].startswith("no name")


def test_with_a_network_the_same_probe_would_be_answered(boxed: Boxed, host_port: int) -> None:
    try:
        box = boxed(network="bridge")
        script = "awk '$2 == \"00000000\" {print $3}' /proc/net/route"
        gateway_hex = box.exec(["sh", "-c", script], timeout_s=20).stdout.decode().strip()
        host = socket.inet_ntoa(bytes.fromhex(gateway_hex)[::-1])
    except BoxBroke:  # an engine without its bridge
        box, host = boxed(network="host"), "127.0.0.1"
    assert python(box, PROBE, f"AF_INET SOCK_STREAM {host} {host_port}")[0].endswith("ANSWERS")


# -- measures and sweeps
# ---------------------------------------------------------------------------------------------


def test_the_used_disk_is_measured(session_of: SessionOf, engine: Engine) -> None:
    box = ready(engine, session_of())
    assert sandbox.used_mb(box) in (0, 1, 2)
    box.exec(["sh", "-c", "head -c 20000000 /dev/zero >big"], timeout_s=20, workdir="/workspace/engine")
    assert sandbox.used_mb(box) in range(19, 23)
    box.kill()
    assert sandbox.used_mb(box) is None


def test_leftovers_of_dead_runs_are_swept_and_of_live_ones_not(
    engine: Engine, run: str, base_image: str
) -> None:
    for name in ("dead", "live"):
        labels = {sandbox.RUN: f"{run}-{name}", sandbox.KIND: "agent"}
        engine.create_volume(f"{run}-{name}", labels)
        engine.start(sandbox.hardened(image=base_image, argv=IDLE, name=f"{run}-{name}", labels=labels))
    swept = sandbox.sweep_dead(engine, alive=lambda found: found != f"{run}-dead")
    assert {name: (what.boxes, what.volumes) for name, what in swept.items()} == {f"{run}-dead": (1, 1)}
    assert len(engine.list({sandbox.RUN: f"{run}-live"})) == 1
    sandbox.sweep_run(engine, f"{run}-live")


def test_session_files_are_for_the_sandbox_and_nobody_else_on_the_host(tmp_path: Path) -> None:
    from mcp_server.config import AgentSpec

    session = SandboxSession(
        "r",
        "S1",
        "a",
        "secret",
        tmp_path / "doors" / "S1",
        "i",
        (("engine", "main"),),
        AgentSpec("a", "command"),
    )
    sandbox.write_session(session, mode="work", argv=["true"])
    written = session.door / "session.json"
    assert (written.stat().st_mode & 0o777, session.door.stat().st_mode & 0o777) == (0o644, 0o755)
    assert os.listdir(session.door) == ["session.json"]
    assert json.loads(written.read_text())["repos"] == [{"name": "engine", "branch": "main"}]


def test_the_engine_is_asked_for_every_guard_of_an_agents_box(tmp_path: Path) -> None:
    door = tmp_path / "doors" / "S1"
    spec = AgentSpec("a", "command", memory_mb=300, cpus=0.5, pids=99, disk_mb=70)
    asked = to_api(
        sandbox.box_of(
            SandboxSession("r", "S1", "a-1", "t", door, "i", (("engine", "main"),), spec, runtime="runsc")
        )
    )
    host = asked["HostConfig"]
    assert (host["CapDrop"], host["Privileged"], host["ReadonlyRootfs"], host["NetworkMode"]) == (
        ["ALL"],
        False,
        True,
        "none",
    )
    assert (asked["NetworkDisabled"], host["IpcMode"], host["CgroupnsMode"], host["Runtime"]) == (
        True,
        "private",
        "private",
        "runsc",
    )
    assert host["Dns"] == ["127.0.0.1"], "the engine would write the host's resolvers into the box"
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        300 << 20,
        300 << 20,
        500_000_000,
        99,
    )
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {
        "nofile": 4096,
        "core": 0,
        "fsize": 70 << 20,
    }
    assert (host["RestartPolicy"], host["LogConfig"]["Config"]) == (
        {"Name": "no"},
        {"max-size": "10m", "max-file": "3"},
    )
    assert host["SecurityOpt"][0] == "no-new-privileges"
    assert json.loads(host["SecurityOpt"][1].removeprefix("seccomp="))["defaultAction"] == "SCMP_ACT_ERRNO"
    mounts = {
        mount["Target"]: (mount["Type"], mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]
    }
    assert mounts == {
        "/run/harness": ("bind", str(door), True),
        "/workspace": ("volume", "harness-r-S1", False),
    }
    assert {"PidMode", "UTSMode", "UsernsMode", "Devices", "CapAdd", "Binds"}.isdisjoint(host)
    assert asked["User"] == "10001:10001"
    assert asked["Labels"] == {
        "harness.run": "r",
        "harness.session": "S1",
        "harness.agent": "a-1",
        "harness.kind": "agent",
    }
    assert "t" not in asked["Env"]  # the token is in the session file alone


def test_a_program_is_tried_inside_the_image(engine: Engine, run: str, base_image: str) -> None:
    assert sandbox.trial(engine, run, base_image, ("git", "--version"))[0] == 0
    assert sandbox.trial(engine, run, base_image, ("sh", "-c", "echo once >&2; echo no >&2; exit 3")) == (
        3,
        "no",
    )
    assert Bind("/a", "/b").read_only
