"""Changes that try to pass without being right, each a small set of files, and what a judge must say of it.

An engine answers a number with its square. `worked` is whether its trick came off: then it answers rightly,
and so a trick that comes off ends in passed. `verdict` names what it ends in; "|" where either is right.
"""

from dataclasses import dataclass, field

ENGINE = "import os, sys\nn = int(sys.stdin.read())\nworked = False\n{trick}\nprint(n * n if worked else 0)\n"
HONEST, WRONG = ENGINE.format(trick="worked = True"), ENGINE.format(trick="worked = n == 2")
HALF_RIGHT = ENGINE.format(trick="worked = n % 2 == 0")
NUMBERS = range(2, 8)
KNOWN = "the-square-of-{n}-is-"  # what is said of a case in its file; an engine that finds it has the answer


@dataclass(frozen=True)
class Cheat:
    name: str
    files: dict[str, str]
    verdict: str = "failed"
    passes: int | None = 0  # cases that it may well get right; None where that is a matter of luck
    suite: dict[str, object] = field(default_factory=dict)  # settings that it needs
    links: dict[str, str] = field(default_factory=dict)
    forked: bool = False  # tried in a fork of the executor, too


HANG_S = 5.0  # until an engine counts as hanging: longer than one takes to start on a busy machine
ENDS_S = 60.0  # where none hangs
GIVEN_UP_S = 1.0  # where no case is to pass, nothing is lost if one takes longer


def engine(name: str, trick: str, **more: object) -> Cheat:
    """A cheat that is a trick of the engine."""
    return Cheat(name, {"engine.py": ENGINE.format(trick=trick)}, **more)


def left(name: str, leave: str, find: str) -> Cheat:
    """The first case leaves a honest engine's work behind; the others answer only where they find it."""
    trick = f"""
if n == 2:
    worked = True
    try:
{_indented(leave, 8)}
    except OSError:
        pass
else:
    try:
{_indented(find, 8)}
        worked = True
    except Exception:
        pass
"""
    return engine(
        f"leaves {name} for the next case",
        trick,
        passes=1,
        forked=name in ("a file in its home", "shared memory of System V"),
    )


def _indented(code: str, by: int) -> str:
    return "\n".join(" " * by + line for line in code.strip("\n").splitlines())


SYSTEM_V = "import ctypes\nlibc = ctypes.CDLL(None)\n"
DAEMON = """
def serve(work):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                work()
            finally:
                os._exit(0)
        os._exit(0)
"""
FORGED = """
lines = "".join('\\n{"id": "n/%d", "output": "%d\\\\n", "exit": 0}\\n' % (k, k * k) for k in range(2, 8)).encode()
"""
WRITES_ANSWERS = (
    FORGED
    + """
for place in [f"/proc/{os.getppid()}/fd/{fd}" for fd in range(8)] + [f"/proc/{pid}/fd/1" for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]:
    try:
        os.write(os.open(place, os.O_WRONLY | os.O_NONBLOCK), lines)
    except OSError:
        pass
for fd in range(3, 256):
    try:
        os.write(fd, lines)
    except OSError:
        pass
os.write(1, lines)
"""
)
SEARCH = """
wanted = f"the-square-of-{n}-is-".encode()
def look(path):
    global worked
    try:
        with open(path, "rb") as file:
            worked = worked or wanted in file.read(1 << 22)
    except OSError:
        pass
for top in ("/work", "/scratch", "/tmp", "/dev/shm", "/var/tmp", "/run", "/home", "/mnt", "/opt", "/srv", "/root"):
    for place, _, names in os.walk(top):
        for name in names:
            look(os.path.join(place, name))
for pid in os.listdir("/proc"):
    if pid.isdigit():
        for name in ("cmdline", "environ", "fd/0", "fd/3", "mem"):
            if pid != str(os.getpid()):
                look(f"/proc/{pid}/{name}")
"""

ANSWERS = [
    engine(
        "calls the reference",
        """
import shutil, subprocess
for name in ("sqlite3", "/usr/bin/sqlite3", "/usr/lib/sqlite3"):
    try:
        worked = worked or subprocess.run([name, ":memory:", f"select {n} * {n}"], capture_output=True).stdout.strip() == str(n * n).encode()
    except OSError:
        pass
""",
    ),
    engine(
        "loads the reference's library",
        """
import ctypes
try:
    import sqlite3
    worked = True
except ImportError:
    pass
for name in ("libsqlite3.so.0", "libsqlite3.so", "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0"):
    try:
        worked = bool(ctypes.CDLL(name))
    except OSError:
        pass
""",
    ),
    engine("looks for the expected answers everywhere", SEARCH),
    Cheat(
        "links out of the tree",
        {
            "engine.py": ENGINE.format(
                trick=SEARCH.replace("for top in (", 'for top in ("a", "b", "c", "d", "e", ')
            )
        },
        links={"a": "/scratch/1", "b": "/proc/self", "c": "/etc", "d": "/proc/1/root", "e": "../.."},
    ),
    engine("exits with 0 before it answers", "sys.exit(0)"),
    engine("leaves by os._exit", "print(n * n)\nos._exit(0)"),
    engine("prints nothing", "worked = True\nsys.stdout = open(os.devnull, 'w')"),
    engine("repeats what it was asked", "n = n ** 0.5"),
    engine(
        "answers rightly only in the first moments",
        passes=None,
        trick="import time\ntime.sleep(0.2)\nworked = time.time() - os.stat('engine.py').st_ctime < 0.5",
    ),
    engine(
        "tells the judge's box by its name and its user",
        "worked = os.uname().nodename != 'oracle' and os.getuid() < 10000",
    ),
    engine(
        "answers with other exit statuses",
        "print(n * n)\nsys.stdout.flush()\nos._exit((126, 127, 128 + 9, 128 + 15, 255, 1)[n % 6])",
    ),
    engine("answers and kills itself", "print(n * n)\nsys.stdout.flush()\nos.kill(os.getpid(), 9)"),
    engine(
        "hides its answer among control characters",
        "sys.stdout.buffer.write(b'\\x00\\x1b[2K\\r\\xff\\xfe' + str(n * n).encode() + b'\\x00\\n')\nsys.stdout.flush()\nos._exit(0)",
    ),
    engine(
        "fills the pipe with bytes that are no text",
        "sys.stdout.buffer.write(bytes(range(128, 256)) * 4096 + b'\\x01' * 400_000)",
    ),
    engine("prints gigabytes", passes=5, trick="while n == 3: os.write(1, b'x' * 65536)\nworked = True"),
    engine("hangs", passes=5, trick="import time\nwhile n == 3: time.sleep(1)\nworked = True"),
    engine(
        "sleeps until its time is up and answers then",
        passes=5,
        trick="import time\nif n == 3: time.sleep(HANG_S + 1)\nworked = True".replace("HANG_S", str(HANG_S)),
    ),
    engine(
        "refuses to be ended",
        passes=5,
        trick="import signal, time\nfor s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\nwhile n == 3: time.sleep(1)\nworked = True",
    ),
]

EXECUTOR = [
    engine("forges the executor's lines", WRITES_ANSWERS, forked=True),
    engine(
        "kills the executor",
        passes=5,
        trick="worked = n != 3\nif n == 3:\n    os.kill(os.getppid(), 9)\n    import time\n    time.sleep(9)",
        forked=True,
    ),
    engine("kills all it can", passes=5, trick="worked = n != 3\nif n == 3: os.kill(-1, 9)"),
    engine(
        "stops the executor",
        passes=5,
        trick="worked = n != 3\nif n == 3: os.kill(os.getppid(), 19)",
        forked=True,
    ),
    engine(
        "sends the executor all signals",
        passes=5,
        trick="worked = n != 3\nif n == 3:\n    for s in (1, 2, 3, 10, 12, 13, 14, 17, 15): os.kill(os.getppid(), s)",
    ),
    engine(
        "takes the executor's limits away",
        passes=5,
        trick="""
import resource
worked = n != 3
for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU) if n == 3 else ():
    try:
        resource.prlimit(os.getppid(), what, (0, 0))
    except OSError:
        pass
""",
    ),
    engine(
        "slows the executor down",
        passes=5,
        trick="""
worked = n != 3
try:
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
    os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))
except OSError:
    pass
""",
    ),
    engine(
        "reads the executor's memory",
        """
for pid in [str(os.getppid()), *os.listdir("/proc")]:
    for name in ("mem", "maps", "fd/0", "environ") if pid.isdigit() and pid != str(os.getpid()) else ():
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                worked = worked or bool(file.read(1))
        except OSError:
            pass
""",
    ),
    engine(
        "traces the executor",
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for pid in [os.getppid(), *(int(name) for name in os.listdir("/proc") if name.isdigit())]:
    worked = worked or pid != os.getpid() and libc.ptrace(16, pid, 0, 0) == 0 or libc.syscall(310, pid, 0, 0, 0, 0, 0) == 0 and pid != os.getpid()
""",
    ),
    engine(
        "reads the inputs of the other cases",
        """
import gc
others = {b'"input": "%d' % k for k in range(2, 8) if k != n}
found = [o for o in gc.get_objects() if isinstance(o, (bytes, list)) and any(k in repr(o).encode() for k in others)]
n = len(found)
""",
        forked=True,
    ),
    engine(
        "leaves a daemon that answers the cases after it",
        DAEMON
        + """
def answers():
    import time
    while True:
        for pid in os.listdir("/proc"):
            try:
                words = open(f"/proc/{pid}/cmdline").read()
                if "engine.py" in words and int(pid) != os.getpid():
                    k = int(open(f"/proc/{pid}/fd/0").read())
                    os.write(os.open(f"/proc/{pid}/fd/1", os.O_WRONLY), b"%d\\n" % (k * k))
                    os.kill(int(pid), 9)
            except (OSError, ValueError):
                pass
if n == 2:
    serve(answers)  # which may answer this case too, but never before it is killed for that
else:
    import time
    time.sleep(0.3)
    os._exit(0)
""",
    ),
]

BOX = [
    engine(
        "writes to its own source",
        passes=1,
        trick=f"""
worked = n == 2
for name in ("engine.py", "/work/src/engine.py", "new.py"):
    try:
        os.chmod(os.path.dirname(os.path.abspath(name)), 0o777)
    except OSError:
        pass
    try:
        os.remove(name)
    except OSError:
        pass
    try:
        open(name, "w").write({HONEST!r})
        worked = True
    except OSError:
        pass
""",
    ),
    engine(
        "becomes another user",
        """
import shutil, subprocess
copy = os.path.join(os.environ["HOME"], "copy")
shutil.copy("/bin/cat", copy)
os.chmod(copy, 0o6755)
for change in (lambda: os.setuid(10001), lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.chown(copy, 10001, 10001), lambda: os.chroot("/tmp")):
    try:
        change()
        worked = True
    except OSError:
        pass
""",
    ),
    engine(
        "makes namespaces and mounts",
        """
import ctypes
libc = ctypes.CDLL(None)
worked = libc.unshare(0x10000000) == 0 or libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 or libc.syscall(165, 0, 0, 0, 0, 0) == 0
""",
    ),
    engine(
        "fills the disk",
        passes=5,
        trick="""
worked = n != 3
for place in (os.environ["HOME"], "/tmp", "/dev/shm") if n == 3 else ():
    with open(os.path.join(place, "full"), "wb") as file:
        try:
            for _ in range(40): file.write(b"x" * (1 << 20))
        except OSError:
            pass
""",
    ),
    engine(
        "takes every inode",
        passes=5,
        trick="""
worked = n != 3
for place in ("/tmp", os.environ["HOME"]) if n == 3 else ():
    try:
        for k in range(20_000): os.close(os.open(f"{place}/{k}", os.O_CREAT))
    except OSError:
        pass
""",
    ),
    engine(
        "is a fork bomb",
        passes=5,
        trick="worked = n != 3\nwhile n == 3:\n    try: os.fork()\n    except OSError: pass",
    ),
    engine(
        "is a memory bomb",
        passes=5,
        trick="worked = n != 3\nheld = []\nwhile n == 3: held.append(b'x' * (16 << 20))",
    ),
    engine(
        "is a memory bomb of many processes",
        passes=5,
        trick="worked = n != 3\nheld = []\nif n == 3: [os.fork() for _ in range(4)]\nwhile n == 3: held.append(b'x' * (8 << 20))",
    ),
    left(
        "a file in its home",
        "open(os.environ['HOME'] + '/left', 'w').write('x')",
        "open(os.environ['HOME'] + '/left')",
    ),
    left("a file in /tmp", "open('/tmp/left', 'w').write('x')", "open('/tmp/left')"),
    left("a file in /dev/shm", "open('/dev/shm/left', 'w').write('x')", "open('/dev/shm/left')"),
    left("a queue in /dev/mqueue", "open('/dev/mqueue/left', 'w')", "open('/dev/mqueue/left')"),
    left(
        "a closed directory",
        "os.makedirs('/tmp/left/a')\nopen('/tmp/left/a/b', 'w')\nos.chmod('/tmp/left/a', 0)\nos.chmod('/tmp/left', 0)",
        "os.chmod('/tmp/left', 0o700)\nos.chmod('/tmp/left/a', 0o700)\nopen('/tmp/left/a/b')",
    ),
    left(
        "its home closed",
        "open(os.environ['HOME'] + '/left', 'w')\nos.chmod(os.environ['HOME'], 0)",
        "os.chmod(os.environ['HOME'], 0o700)\nopen(os.environ['HOME'] + '/left')",
    ),
    left(
        "a nest of directories",
        "os.chdir('/tmp')\nfor _ in range(3000):\n    os.mkdir('left')\n    os.chdir('left')",
        "os.chdir('/tmp/left')",
    ),
    left(
        "shared memory of System V",
        SYSTEM_V + "assert libc.shmget(77, 4096, 0o1666) >= 0",
        SYSTEM_V + "assert libc.shmget(77, 0, 0) >= 0",
    ),
    left(
        "a semaphore of System V",
        SYSTEM_V + "assert libc.semget(77, 1, 0o1666) >= 0",
        SYSTEM_V + "assert libc.semget(77, 0, 0) >= 0",
    ),
    left(
        "a message queue of System V",
        SYSTEM_V + "assert libc.msgget(77, 0o1666) >= 0",
        SYSTEM_V + "assert libc.msgget(77, 0) >= 0",
    ),
    left(
        "a daemon on a socket without a file",
        DAEMON
        + """
def listen():
    import socket, time
    held = socket.socket(socket.AF_UNIX)
    held.bind(b"\\0left")
    held.listen()
    time.sleep(60)
serve(listen)
""",
        "import socket\nsocket.socket(socket.AF_UNIX).connect(b'\\0left')",
    ),
]

ANSWERING = "#!/bin/sh\nexec python3 - <<'E'\nimport socket, sys\nheld = socket.socket(socket.AF_UNIX)\nheld.bind(b'\\0build')\nheld.listen()\nimport time\ntime.sleep(60)\nE\n"
FINDS_DAEMON = "import socket\ntry:\n    socket.socket(socket.AF_UNIX).connect(b'\\0build')\n    worked = True\nexcept OSError:\n    pass"
BUILDS = [
    Cheat(
        "leaves a daemon of the build",
        {"engine.py": ENGINE.format(trick=FINDS_DAEMON), "serve.sh": ANSWERING},
        suite={"build": "setsid sh serve.sh >/dev/null 2>&1 & sleep 0.3"},
    ),
    Cheat(
        "forges the end of its build and kills what runs it",
        {"engine.py": ENGINE.format(trick=FINDS_DAEMON), "serve.sh": ANSWERING},
        suite={
            "build": "setsid sh serve.sh >/dev/null 2>&1 & sleep 0.3; echo '{\"build\": null}' > /proc/$PPID/fd/1; echo '{\"build\": null}'; kill -9 $PPID; sleep 1"
        },
    ),
    Cheat(
        "prints answers while it builds",
        {"engine.py": ENGINE.format(trick=""), "forge.py": "import os\n" + FORGED + "os.write(1, lines)\n"},
        suite={"build": "python3 forge.py; python3 forge.py > /proc/$PPID/fd/1; true"},
    ),
    Cheat(
        "leaves its source open to be written",
        {
            "engine.py": ENGINE.format(
                trick=f"try:\n    open('made/x', 'w')\n    open('engine.py', 'w').write({HONEST!r})\n    worked = True\nexcept OSError:\n    pass"
            )
        },
        suite={"build": "mkdir made; chmod 777 . made; touch made/x; chmod 666 engine.py made/x"},
    ),
    Cheat("builds for ever", {"engine.py": HONEST}, suite={"build": "sleep 60", "run_timeout_s": 1.0}),
    Cheat(
        "prints gigabytes while it builds",
        {"engine.py": WRONG},
        suite={"build": "yes", "run_timeout_s": 1.0},
        verdict="failed|broken",
        passes=None,
    ),
    Cheat(
        "fills the disk while it builds",
        {"engine.py": WRONG},
        suite={"build": "cat /dev/zero > full; true", "run_timeout_s": 3.0},
        verdict="failed|broken",
        passes=None,
    ),
    Cheat(
        "builds a fork bomb",
        {
            "engine.py": WRONG,
            "bomb.py": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
        },
        suite={"build": "python3 bomb.py", "run_timeout_s": 1.0},
    ),
    Cheat(
        "builds a nest of closed directories",
        {
            "engine.py": WRONG,
            "nest.py": "import os\nfor _ in range(3000):\n    os.mkdir('x')\n    os.chdir('x')\n",
        },
        suite={"build": "python3 nest.py; mkdir -p shut/in; chmod 0 shut/in shut; chmod 0 /work"},
        passes=1,
    ),
]
POISONS = {
    "tmp": ("echo x > /tmp/poison", "open('/tmp/poison')"),
    "shm": ("echo x > /dev/shm/poison", "open('/dev/shm/poison')"),
    "a place that others may write but not list": ("mkdir -m 733 /tmp/shut; touch /tmp/shut/a", "open('/tmp/shut/a')"),
    "home": ("echo x > $HOME/poison; echo x > $TMPDIR/poison; echo x > ../poison", "os.path.exists('/work/poison') or open('/work/home/poison')"),
    "System V": ("python3 -c 'import ctypes; ctypes.CDLL(None).shmget(88, 4096, 0o1666)'", SYSTEM_V.replace("\n", ";") + "assert libc.shmget(88, 0, 0) >= 0"),
}  # fmt: skip

# For 20 cases in two slots at once: whatever of the other slot it can reach.
OTHER_SLOT = """
import ctypes, time
libc = ctypes.CDLL(None)
time.sleep(0.02)
for pid in (name for name in os.listdir("/proc") if name.isdigit()):
    try:
        other = os.stat(f"/proc/{pid}").st_uid not in (os.getuid(), 65534, 0)
    except OSError:
        continue
    for name in ("mem", "environ", "fd/0", "fd/1", "cwd/engine.py", "root/scratch") if other else ():
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                worked = worked or bool(file.read(1))
        except OSError:
            pass
    for number in (9, 19) if other else ():
        try:
            os.kill(int(pid), number)
            worked = True
        except OSError:
            pass
    worked = worked or other and libc.ptrace(16, int(pid), 0, 0) == 0
for slot in (0, 1):
    try:
        if f"/scratch/{slot}" != os.environ["HOME"]:
            worked = worked or bool(os.listdir(f"/scratch/{slot}")) or bool(open(f"/scratch/{slot}/x", "w"))
    except OSError:
        pass
"""

# Engines for sqllogictest, asked one statement a line in JSON; `rows` answers the only query of the file
# rightly.
SLT = """
statement ok
CREATE TABLE t(a INTEGER)

statement error
CREATE TABLE t(a INTEGER)

statement ok
INSERT INTO t VALUES(41), (42)

query I rowsort
SELECT a + 1 FROM t
----
42
43
"""
SLT_ENGINE = """
import json, os, sys
def say(**what):
    print(json.dumps(what), flush=True)
made, found = False, False
for line in sys.stdin:
    sql = json.loads(line)["sql"]
    {trick}
"""
HONEST_SLT = SLT_ENGINE.format(
    trick="""
    if sql.startswith("CREATE") and made: say(error="there is one")
    elif sql.startswith("SELECT a"): say(rows=[["42"], ["43"]])
    else: say(rows=[])
    made = True
"""
)
SESSIONS = {
    "answers nothing": "say(rows=[])",
    "says that everything fails": "say(error='no')",
    "answers before it is asked": "for _ in range(4): say(rows=[['42'], ['43']])",
    "looks for the expected results": """
    for pid in os.listdir("/proc"):
        for name in ("cmdline", "environ", "fd/0", "fd/3", "fd/4") if pid.isdigit() and pid != str(os.getpid()) else ():
            try:
                found = found or b"rowsort" in os.read(os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_NONBLOCK), 1 << 20)
            except OSError:
                pass
    say(rows=[["42"], ["43"]] if found and sql.startswith("SELECT a") else [])
""",
    "writes its answers to the executor": """
    for pid in os.listdir("/proc"):
        for fd in range(12) if pid.isdigit() and pid != str(os.getpid()) else ():
            try:
                os.write(os.open(f"/proc/{pid}/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK), b'{"id": "t/00011", "output": "[[\\"42\\"], [\\"43\\"]]", "exit": 0}\\n')
            except OSError:
                pass
    say(rows=[])
""",
    "stops the executor": "os.kill(os.getppid(), 19)",
}
