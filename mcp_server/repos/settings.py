"""What every git process of the server and every repository of the server's is set to: constants, and one
pure function.

Rule: a setting that keeps something out is here and nowhere else, with the reason why.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

EMAIL_DOMAIN = "harness.invalid"

# Nothing of the host's, and nothing an environment variable of the server's could change, reaches git.
ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_AUTHOR_NAME": "harness",
    "GIT_AUTHOR_EMAIL": f"harness@{EMAIL_DOMAIN}",
    "GIT_COMMITTER_NAME": "harness",
    "GIT_COMMITTER_EMAIL": f"harness@{EMAIL_DOMAIN}",
}
LOCAL = {"GIT_ALLOW_PROTOCOL": "file"}

CPU_S = 300
MEMORY_KB = 4 * 1024 * 1024  # address space, so packs that are mapped count
# Starts every git: a tree of 2 kB can name more files than fit into memory. A system without such a limit
# goes on.
LIMITED = ("/bin/sh", "-c", f'ulimit -t {CPU_S}; ulimit -v {MEMORY_KB}; exec "$@"', "sh")
# Starts git with those limits and behind everybody else for processor and disk (but not at the very end: on
# a machine that is never idle it would never be done). Git is killed when the server is, where the system can
# do that.
UNHURRIED_CPU_S = 3600
UNHURRIED = (
    "/bin/sh",
    "-c",
    f"ulimit -t {UNHURRIED_CPU_S}; ulimit -v {MEMORY_KB}; ionice -c 2 -n 7 -p $$ 2>/dev/null; "
    'command -v setpriv >/dev/null && set -- setpriv --pdeathsig KILL "$@"; exec nice -n 10 "$@"',
    "sh",
)

# Renames off, where git heeds it (see merge.py): with them a rename of a directory by one agent moves another
# agent's new files across modules.
COMMAND_LINE_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "safe.bareRepository=explicit",
    "merge.renames=false",
    "merge.directoryRenames=false",
    "protocol.allow=never",
)
OPTIONS = tuple(word for setting in COMMAND_LINE_SETTINGS for word in ("-c", setting))

# The user's repository may belong to somebody else than the server; that it was named in harness.toml is the
# trust.
FOREIGN = "git -c 'safe.directory=*' -c core.hooksPath=/dev/null"
READ_FOREIGN = f"{FOREIGN} upload-pack"
WRITE_FOREIGN = (
    f"{FOREIGN} -c gc.auto=0 -c receive.autogc=false -c receive.denyNonFastForwards=false receive-pack"
)

# unpackLimit: a push stays one pack, so hostile data is never inflated onto the disk.
# bigFileThreshold: larger blobs are streamed, not held in memory.
# packedGitLimit, threads: keep a process within the address space that LIMITED allows it, however many cores.
# receive.hideRefs: agents' refs are the only ones that a push can reach; edge/git_http/routes.py narrows it
#   to the agent's own.
# filesRefLockTimeout, ms: whoever comes second waits for the first one's syncs, instead of failing after
#   100 ms.
# gc, autogc: git must not repack on its own while others write; Upkeep.repack does.
# fsck.badFilemode: git only notes a mode such as 104755, and would hand it on to whoever clones.
CONFIG = """\
[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	fsync = all
	logAllRefUpdates = always
	hooksPath = /dev/null
	bigFileThreshold = 32m
	packedGitLimit = 1g
	filesRefLockTimeout = 5000
[pack]
	threads = 2
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	fsckObjects = true
	unpackLimit = 1
	maxInputSize = 64m
	denyDeletes = true
	autogc = false
	advertisePushOptions = false
	hideRefs = refs/
	hideRefs = !refs/agents/
[receive "fsck"]
	badFilemode = error
[uploadpack]
	allowFilter = false
	hideRefs = refs/
	hideRefs = !refs/heads/
	hideRefs = !refs/salvage/
	hideRefs = !refs/agents/
[http]
	getanyfile = false
	uploadpack = true
	receivepack = true
"""


def http_backend(
    path: Path, rest: str, variables: Mapping[str, str], hide: Iterable[str]
) -> tuple[list[str], dict[str, str]]:
    """Return arguments and whole environment of `git http-backend` for one request.

    `path` is the repository, `rest` the part of the address below it, `variables` those of the CGI request,
    `hide` more values of receive.hideRefs: of all that match a ref the last one holds, so they override the
    repository's own.
    """
    env = ENVIRONMENT | {"GIT_HTTP_EXPORT_ALL": "1", "PATH_TRANSLATED": f"{path}/{rest}"}
    env |= dict(variables)
    hidden = tuple(hide)
    env["GIT_CONFIG_COUNT"] = str(len(hidden))
    for number, value in enumerate(hidden):
        env |= {f"GIT_CONFIG_KEY_{number}": "receive.hideRefs", f"GIT_CONFIG_VALUE_{number}": value}
    return [*OPTIONS, "http-backend"], env
