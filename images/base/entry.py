"""Owns a sandbox from inside, as pid 1: the door, the clone, the agent's command, the leftovers. Rule: stdlib
only; nothing is lost.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SESSION = Path("/run/harness/session.json")
DOOR = "unix:/run/harness/door.sock"
# a variable of this value is given the session's token: where a client expects its vendor's key
TOKEN = "$HARNESS_TOKEN"
HERE = Path("/opt/harness")
WORKSPACE = Path("/workspace")
PORT = 8765
DOOR_UP_S = 10.0  # for the forwarder to listen
END_GRACE_S = 3.0  # between SIGTERM and SIGKILL for the agent's processes
GIT_TIMEOUT_S = 120
TRIES = 5  # of a clone or an upload, 0.5 s to 4 s apart: the server may be restarting
OOM_SCORE = "900"  # the agent's processes go first when memory ends, so that this one can still save the work
# A larger new file is a build product or a core, and the server refuses huge packs.
LEFTOVER_FILE_BYTES_MAX = 1 << 20
LEFTOVER_BYTES_MAX = 32 << 20
LINE_MAX = 300  # characters of git's own words
EXIT_UNUSABLE = 78  # EX_CONFIG: the box was started wrongly
EXIT_NO_CLONE = 69  # EX_UNAVAILABLE: the server or the repository did not answer
EXIT_NO_COMMAND = 127
UNFINISHED = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


def say(event: str, **what: object) -> None:
    """Print one line for the supervisor, on the same stream as the agent's own lines."""
    print(json.dumps({"harness": event, **what}), flush=True)


class Door:
    """The forwarder process, started again whenever it dies."""

    def __init__(self, dial: str) -> None:
        self.dial = dial
        self.process: subprocess.Popen | None = None

    def open(self) -> None:
        argv = [sys.executable, "-I", str(HERE / "forwarder.py"), str(PORT), self.dial]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        until = time.monotonic() + DOOR_UP_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", PORT), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        say("door_closed", detail="the forwarder does not listen")


def git(*argv: str, cwd: Path | None = None, data: bytes | None = None) -> subprocess.CompletedProcess:
    """Run git, and never raise: a git that hangs or is missing is a failed git."""
    try:
        return subprocess.run(
            ["git", *argv], cwd=cwd, input=data, capture_output=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(argv, 1, b"", str(error).encode())


def reason(ended: subprocess.CompletedProcess) -> str:
    """Return why a git failed, in its own words where they are of use."""
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    if any("could not read Username" in line for line in lines):  # what git makes of a 401 without a terminal
        return "the server does not know the session's token"
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return next(iter(telling or lines[-1:]), "")[:LINE_MAX]


def git_with_retries(
    *argv: str, cwd: Path | None = None, clean: Path | None = None
) -> subprocess.CompletedProcess:
    """Run git until it succeeds, TRIES times at most; `clean` is removed before another try."""
    for attempt in range(TRIES):
        ended = git(*argv, cwd=cwd)
        if ended.returncode == 0 or attempt == TRIES - 1:
            break
        time.sleep(0.5 * 2**attempt if attempt < 3 else 4.0)
        if clean is not None:
            subprocess.run(["rm", "-rf", str(clean)], check=False)
    return ended


def configure_git(session: dict, home: Path) -> None:
    settings = {
        "user.name": session["agent"],
        "user.email": f"{session['agent']}@agents.invalid",
        f"http.{session['url']}/.extraHeader": f"Authorization: Bearer {session['token']}",
        "core.hooksPath": str(HERE / "hooks"),
        "harness.upload": upload_ref(session),
        "advice.detachedHead": "false",
        "init.defaultBranch": "main",
        "commit.gpgSign": "false",
        "gc.auto": "0",  # a session is short; a background gc would outlive it
    }
    os.environ["GIT_TERMINAL_PROMPT"] = "0"
    (home / ".gitconfig").write_text("".join(setting(key, value) for key, value in settings.items()))


def setting(key: str, value: str) -> str:
    """Return a setting as it stands in a .gitconfig, its section above it."""
    return f"{section(key)}\n\t{key.rpartition('.')[2]} = {quoted(value)}\n"


def section(key: str) -> str:
    first, _, rest = key.partition(".")
    middle = rest.rpartition(".")[0]
    return f'[{first} "{middle}"]' if middle else f"[{first}]"


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def upload_ref(session: dict) -> str:
    return f"refs/agents/{session['agent']}/{session['session']}"


def clone(session: dict) -> bool:
    for repo in session["repos"]:
        target = WORKSPACE / repo["name"]
        began = time.monotonic()
        url = f"{session['url']}/git/{repo['name']}.git"
        argv = ("clone", "--quiet", "--branch", repo["branch"], url, str(target))
        ended = git_with_retries(*argv, clean=target)
        if ended.returncode != 0:
            say("clone_failed", repo=repo["name"], detail=reason(ended))
            return False
        say("cloned", repo=repo["name"], ms=round((time.monotonic() - began) * 1000))
    return True


def write_files(session: dict, home: Path) -> None:
    for name, text in session.get("files", {}).items():
        target = (home / name).resolve()
        if not target.is_relative_to(home.resolve()):
            raise ValueError(f"the file {name!r} lies outside the home directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def start_agent(session: dict) -> subprocess.Popen | None:
    token = session["token"]
    own = {name: token if value == TOKEN else value for name, value in session.get("env", {}).items()}
    env = {**os.environ, **own}
    env |= {
        "HARNESS_URL": session["url"],
        "HARNESS_MCP_URL": session["url"] + "/mcp",
        "HARNESS_TOKEN": session["token"],
        "HARNESS_AGENT": session["agent"],
        "HARNESS_SESSION": session["session"],
    }
    cwd = WORKSPACE / session["repos"][0]["name"] if session["repos"] else WORKSPACE

    def go_first() -> None:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
        # By the child itself: no line of its own can come before this one, nor in the midst of it.
        say("started")

    try:
        return subprocess.Popen(
            session["argv"],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=go_first,
        )
    except OSError as error:
        say("no_command", detail=f"{session['argv'][0]}: {error.strerror}")
        return None


class Stopped(Exception):
    """SIGTERM: the supervisor wants the end."""


def watch(agent: subprocess.Popen, door: Door) -> int:
    """Reap everything until the agent has ended. Return its exit status, 128 + n for signal n."""
    while True:
        pid, status = os.waitpid(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        if pid == agent.pid:
            return code if code >= 0 else 128 - code
        if door.process is not None and pid == door.process.pid:
            say("door_reopened")
            door.open()


def end_all() -> None:
    """End every other process: nothing may change the workspace while leftovers are taken. (pid -1 = all but
    pid 1.)
    """
    until = time.monotonic() + END_GRACE_S
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return
        while time.monotonic() < until or number is signal.SIGKILL:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.01)
            except ChildProcessError:
                return


def save_leftovers(session: dict) -> bool:
    """Commit what is left in every clone, and upload what the server may lack. Return True if nothing is
    known to be lost.
    """
    return all([save(session, WORKSPACE / repo["name"], repo) for repo in session["repos"]])


def save(session: dict, work: Path, repo: dict) -> bool:
    if not (work / ".git").is_dir():
        return True
    for lock in ("index.lock", "HEAD.lock"):  # of a git that was killed; no git runs now
        (work / ".git" / lock).unlink(missing_ok=True)
    for mark, verb in UNFINISHED.items():
        if (work / ".git" / mark).exists():  # its commits are worth more than a half-resolved conflict
            git(verb, "--abort", cwd=work)
    commit_leftovers(session, work, repo)
    head = git("rev-parse", "--verify", "--quiet", "HEAD", cwd=work).stdout.decode().strip()
    if not head or is_known(work, head, repo):
        return True  # nothing of its own
    target = f"{head}:{upload_ref(session)}"
    push = git_with_retries("push", "--quiet", "--force", "--no-verify", "origin", target, cwd=work)
    event = "uploaded" if push.returncode == 0 else "upload_failed"
    say(event, repo=repo["name"], head=head, detail=reason(push))
    return push.returncode == 0


def commit_leftovers(session: dict, work: Path, repo: dict) -> None:
    skipped = stage(work)
    if git("diff", "--cached", "--quiet", cwd=work).returncode == 0:
        return
    message = f"leftovers of {session['session']}"
    argv = ("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--no-verify", "-m", message)
    commit = git(*argv, cwd=work)
    is_done = commit.returncode == 0
    say("leftovers", repo=repo["name"], ok=is_done, skipped=skipped[:20], detail=reason(commit))


def is_known(work: Path, head: str, repo: dict) -> bool:
    """Return True if the branch that was cloned has this commit already."""
    branch = f"refs/remotes/origin/{repo['branch']}"
    return git("merge-base", "--is-ancestor", head, branch, cwd=work).returncode == 0


def stage(work: Path) -> list[str]:
    """Stage all changes of known files and the small new ones. Return the names of the new ones left out."""
    git("add", "--update", cwd=work)
    small, skipped, room = [], [], LEFTOVER_BYTES_MAX
    for name in git("ls-files", "--others", "--exclude-standard", "-z", cwd=work).stdout.split(b"\0"):
        if not name:
            continue
        path = os.path.join(os.fsencode(work), name)
        size = os.lstat(path).st_size if os.path.lexists(path) else 0
        is_repository = name.endswith(b"/")  # inside the repository
        if is_repository or size > min(room, LEFTOVER_FILE_BYTES_MAX):
            skipped.append(os.fsdecode(name))
            continue
        room -= size
        small.append(name)
    if small:
        names = b"\0".join(b":(literal)" + name for name in small)
        git("add", "--pathspec-from-file=-", "--pathspec-file-nul", cwd=work, data=names)
    return skipped


def work(session: dict, door: Door, home: Path) -> int:
    if not clone(session):
        return EXIT_NO_CLONE
    write_files(session, home)
    agent = start_agent(session)
    if agent is None:
        return EXIT_NO_COMMAND
    return watch(agent, door)


def raise_stopped(number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def main() -> int:
    began = time.monotonic()
    home = Path(os.environ.get("HOME", "/home/agent"))
    try:
        session = json.loads(SESSION.read_text())
    except (OSError, ValueError) as error:
        say("unusable", detail=f"{SESSION}: {error}")
        return EXIT_UNUSABLE
    if not os.access(WORKSPACE, os.W_OK) or not os.access(home, os.W_OK):
        say("unusable", detail=f"{WORKSPACE} or {home} is not writable for uid {os.getuid()}")
        return EXIT_UNUSABLE
    door = Door(session.get("dial", DOOR))
    status = 128 + signal.SIGTERM
    signal.signal(signal.SIGTERM, raise_stopped)
    try:
        door.open()
        configure_git(session, home)
        say("ready", ms=round((time.monotonic() - began) * 1000))
        status = 0 if session["mode"] == "salvage" else work(session, door, home)
    except Stopped:
        say("stopping")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_all()
    door.open()
    saved = save_leftovers(session)
    say("ended", exit=status, saved=saved)
    return status if session["mode"] == "work" else int(not saved)


if __name__ == "__main__":
    sys.exit(main())
