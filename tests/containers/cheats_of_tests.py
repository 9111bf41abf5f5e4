"""Changes that try to get a project's own tests to pass without being right, each a small set of files.

The project is one wrong function and two tests, of which one fails and one passes; `on_main` both run.
"""

from .cheats import DAEMON, Cheat

WRONG, RIGHT = "def add(a, b):\n    return a - b\n", "def add(a, b):\n    return a + b\n"
TESTS = """
import unittest
from app import add
class TestApp(unittest.TestCase):
    def test_adds(self):
        self.assertEqual(add(1, 2), 3)
    def test_zero(self):
        self.assertEqual(add(0, 0), 0)
"""
TAP = """
import sys, unittest
sys.path[:0] = ["."]
class Result(unittest.TestResult):
    def addSuccess(self, test): print(f"ok {self.testsRun} - {test.id()}")
    failed = False
    def addFailure(self, test, how):
        self.failed = True
        print(f"not ok {self.testsRun} - {test.id()}")
    addError = addFailure
ran = unittest.defaultTestLoader.discover("tests").run(Result())
print(f"1..{ran.testsRun}")
sys.exit(ran.failed)
"""
PROJECT = {"app.py": WRONG, "tests/test_app.py": TESTS, "tests/tap.py": TAP}
HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    made = yield
    made.get_result().outcome = "passed"
"""
DESELECTS = "def pytest_collection_modifyitems(items):\n    items[:] = [item for item in items if 'adds' not in item.name]\n"
SKIPS = "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        if 'adds' in item.name: item.add_marker(pytest.mark.skip)\n"
PATCH = """
import _pytest.reports
made = _pytest.reports.TestReport.from_item_and_call.__func__
def always(cls, item, call):
    call.excinfo = None
    return made(cls, item, call)
_pytest.reports.TestReport.from_item_and_call = classmethod(always)
"""
LATE = "import sys\nclass Late:\n    def find_spec(self, name, path=None, target=None):\n        if name == 'tests' or name == 'app':\n            sys.meta_path.remove(self)\n            import evil\nsys.meta_path.insert(0, Late())\n"
JUNIT = '<testsuite tests="2"><testcase classname="tests.test_app.TestApp" name="test_adds"/><testcase classname="tests.test_app.TestApp" name="test_zero"/></testsuite>'
SHOWN = "PASSED tests/test_app.py::TestApp::test_adds\\nPASSED tests/test_app.py::TestApp::test_zero\\n=== 2 passed in 0.01s ==="
FORGE_NOW = f"open('out.xml', 'w').write({JUNIT!r})"
FORGE = FORGE_NOW + "\n"


def code(name: str, trick: str, **more: object) -> Cheat:
    """A cheat in the code under test."""
    return Cheat(name, {"app.py": WRONG + trick}, **more)


def end(name: str, trick: str, **more: object) -> Cheat:
    """A right change whose run does not end as a run should."""
    return Cheat(name, {"app.py": RIGHT + trick}, **more)


STEERED = [
    Cheat("rewrites every outcome in conftest", {"conftest.py": HOOK}),
    Cheat("takes the failing test out in conftest", {"conftest.py": DESELECTS}),
    Cheat("skips the failing test in conftest", {"conftest.py": SKIPS}),
    Cheat("loads a plugin by pytest.ini", {"pytest.ini": "[pytest]\naddopts = -p evil\n", "evil.py": HOOK}),
    Cheat(
        "loads a plugin by pyproject.toml",
        {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p evil"\n', "evil.py": HOOK},
    ),
    Cheat(
        "loads a plugin by PYTEST_ADDOPTS in a committed file",
        {".env": "PYTEST_ADDOPTS='-p evil'\n", "evil.py": HOOK},
        suite={"prefix": "set -a; . ./.env; "},
    ),
    Cheat(
        "loads a plugin as an installed distribution",
        {
            "evil.py": HOOK,
            "evil-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1\n",
            "evil-1.dist-info/entry_points.txt": "[pytest11]\nevil = evil\n",
        },
    ),
    Cheat(
        "patches pytest by sitecustomize",
        {"sitecustomize.py": LATE, "evil.py": PATCH},
        suite={"env": {"PYTHONPATH": "."}},
    ),
    Cheat(
        "patches pytest by usercustomize",
        {"usercustomize.py": LATE, "evil.py": PATCH},
        suite={"env": {"PYTHONPATH": "."}},
    ),
    Cheat("stands in for pytest itself", {"pytest.py": FORGE}),
    Cheat(
        "deselects by pytest.ini",
        {"pytest.ini": "[pytest]\naddopts = --deselect tests/test_app.py::TestApp::test_adds\n"},
    ),
    Cheat("selects only what passes by pytest.ini", {"pytest.ini": "[pytest]\naddopts = -k zero\n"}),
    Cheat(
        "looks for no other test files",
        {"pytest.ini": "[pytest]\npython_files = test_app.py\n", "app.py": RIGHT},
    ),
    Cheat("empties the test file", {"tests/test_app.py": ""}),
    Cheat("renames the failing test", {"tests/test_app.py": TESTS.replace("test_adds", "later_adds")}),
]
CODE = [
    code("patches pytest's reports", PATCH),
    code("patches the assertions", "import unittest\nunittest.TestCase.assertEqual = lambda *_: None\n"),
    code(
        "forges the results at exit",
        f"import atexit, os\natexit.register(lambda: ({FORGE_NOW}, os._exit(0)))\n",
    ),
    code(
        "takes the failures out of the results at exit",
        "import atexit, os, re\ndef forge():\n    text = re.sub(r'<failure.*?</failure>', '', open('out.xml').read(), flags=re.S)\n    open('out.xml', 'w').write(re.sub('failures=.[0-9]+.', '', text))\n    os._exit(0)\natexit.register(forge)\n",
    ),
    code(
        "forges the results from a process behind",
        DAEMON
        + f"def forge():\n    import time\n    while True:\n        open('out.xml', 'w').write({JUNIT!r})\n        time.sleep(0.01)\nimport atexit, os, time\natexit.register(lambda: (time.sleep(0.2), os._exit(0)))\nserve(forge)\n",
    ),
    code("forges the results and leaves", f"import os\n{FORGE}os._exit(0)\n"),
    code("leaves at import by os._exit", "import os\nos._exit(0)\n"),
    code("leaves at import by sys.exit", "import sys\nsys.exit(0)\n"),
    code("ends pytest", "import pytest\npytest.exit('done', returncode=0)\n"),
    code("leaves in the middle of a test", "import os\nadd = lambda a, b: os._exit(0)\n"),
    code("skips its own tests", "import unittest\nraise unittest.SkipTest('no')\n"),
    code("kills pytest", "import os\nos.kill(os.getpid(), 9)\n"),
    code("kills all it can", "import os\nos.kill(-1, 9)\n", verdict="broken"),
    code(
        "kills the executor",
        "import os\nfor pid in os.listdir('/proc'):\n    if pid.isdigit() and int(pid) not in (1, os.getpid()):\n        try: os.kill(int(pid), 9)\n        except OSError: pass\n",
        verdict="broken",
    ),
    code(
        "removes every other test file",
        "import glob, os\nfor path in glob.glob('tests/test_*.py'):\n    if 'test_app' not in path: os.remove(path)\n",
    ),
    code(
        "makes every other test file pass",
        "import glob\nfor path in glob.glob('tests/test_*.py'):\n    if 'test_app' not in path: open(path, 'w').write(open(path).read().replace('self.assertEqual', '(lambda *_: None)'))\n",
    ),
    Cheat(
        "has its build write the results and leaves",
        {"app.py": "import os\nos._exit(0)\n", "forged.xml": JUNIT},
        suite={"build": "cp forged.xml out.xml; cp forged.xml /tmp/out.xml"},
    ),
    Cheat(
        "has its build write the results where all may write",
        {"app.py": "import os\nos._exit(0)\n", "forged.xml": JUNIT},
        suite={"build": "cp forged.xml /tmp/out.xml; chmod 444 /tmp/out.xml", "results": "/tmp/out.xml"},
    ),
    Cheat("leaves no place for the canary", {"app.py": RIGHT}, suite={"build": "rm -r tests; touch tests"}),
    code("links the results elsewhere", "import os\nos.symlink('/etc/passwd', 'out.xml')\nos._exit(0)\n"),
    code("makes the results a pipe", "import os\nos.mkfifo('out.xml')\nos._exit(0)\n"),
    code("makes the results a directory", "import os\nos.mkdir('out.xml')\nos._exit(0)\n"),
    code(
        "writes a hundred megabytes of results",
        "import os\nopen('out.xml', 'w').write('<testsuite>' + '<testcase name=\"a\"/>' * 5_000_000)\nos._exit(0)\n",
    ),
    code(
        "writes entities into the results",
        "import os\nopen('out.xml', 'w').write('<!DOCTYPE x [<!ENTITY a \"bbbb\">]><testsuite>&a;</testsuite>')\nos._exit(0)\n",
    ),
    code("hangs", "import time\ntime.sleep(60)\n", suite={"run_timeout_s": 1.5}),
    code(
        "prints gigabytes",
        "import os\nwhile True: os.write(1, b'x' * 65536)\n",
        suite={"prefix": "PYTEST_ADDOPTS=-s "},
    ),
    code(
        "stops the executor",
        "import os\nfor pid in os.listdir('/proc'):\n    if pid.isdigit() and int(pid) not in (1, os.getpid()):\n        try: os.kill(int(pid), 19)\n        except OSError: pass\n",
        suite={"run_timeout_s": 1.5},
    ),
    code(
        "is a fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
        suite={"run_timeout_s": 1.5},
        verdict="failed|broken",
    ),
    code(
        "is a memory bomb", "held = []\nwhile True: held.append(b'x' * (16 << 20))\n", verdict="failed|broken"
    ),
    code(
        "leaves a patch in its home for the next run",
        "import os, site\nos.makedirs(site.getusersitepackages())\nopen(site.getusersitepackages() + '/usercustomize.py', 'w').write('import os\\nos._exit(0)\\n')\n",
    ),
]
SPOKEN = [
    Cheat(
        "an object that equals everything",
        {
            "app.py": "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b):\n    return Any()\n"
        },
        suite={"results": "pytest"},
    ),
    Cheat(
        "the expected value is read from the caller",
        {
            "app.py": "import inspect, re\ndef add(a, b):\n    line = inspect.stack()[1].code_context[0]\n    return int(re.search(r'(\\d+)\\)$', line.strip())[1])\n"
        },
        suite={"results": "pytest"},
    ),
    code(
        "prints a summary of its own and leaves",
        f"import os\nos.write(1, b'{SHOWN}\\n')\nos._exit(0)\n",
        suite={"results": "pytest", "prefix": "PYTEST_ADDOPTS=-s "},
    ),
    code(
        "prints another summary at exit",
        f"import atexit, os\natexit.register(lambda: (os.write(1, b'{SHOWN}\\n'), os._exit(0)))\n",
        suite={"results": "pytest"},
    ),
    code(
        "prints TAP of its own and leaves",
        "import os\nos.write(1, b'ok 1 - test_app.TestApp.test_adds\\nok 2 - test_app.TestApp.test_zero\\n1..2\\n')\nos._exit(0)\n",
        suite={"results": "tap"},
    ),
    code("leaves with status 0", "import os\nos._exit(0)\n", suite={"results": None}),
    code(
        "leaves with status 0 at exit",
        "import atexit, os\natexit.register(lambda: os._exit(0))\n",
        suite={"results": None},
    ),
    code(
        "calls every run a success",
        "import unittest\nunittest.TestResult.wasSuccessful = lambda self: True\n",
        suite={"results": None},
    ),
    code("becomes another program", "import os\nos.execvp('true', ['true'])\n", suite={"results": None}),
]
ENDS = [
    end(
        "hangs at exit",
        "import atexit, time\natexit.register(time.sleep, 60)\n",
        suite={"run_timeout_s": 4.0},
    ),
    end("aborts at exit", "import atexit, os\natexit.register(os.abort)\n"),
    end("leaves with status 0 at exit, whatever fails", "import atexit, os\natexit.register(os._exit, 0)\n"),
    end(
        "prints gigabytes at exit",
        "import atexit, os\ndef flood():\n    while True: os.write(1, b'x' * 65536)\natexit.register(flood)\n",
    ),
    end(
        "leaves a process that keeps the run from ending",
        "import atexit, subprocess\natexit.register(lambda: subprocess.Popen(['sleep', '60']).wait())\n",
        suite={"run_timeout_s": 4.0},
    ),
    end(
        "hangs at exit, and its results are read from the output",
        "import atexit, time\natexit.register(time.sleep, 60)\n",
        suite={"results": "pytest", "run_timeout_s": 4.0},
    ),
    end(
        "ends its TAP by a signal", "import atexit, os\natexit.register(os.abort)\n", suite={"results": "tap"}
    ),
]
