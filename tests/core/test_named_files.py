"""Which files run when a suite's command runs: by name, and one step further."""

import pytest

from mcp_server.core import named_files

FILES = {
    "ci.sh": "#!/bin/sh\nset -e\n(cd tools && python3 check.py)\nsh scripts/inner.sh\n",
    "tools/check.py": "print(1)\n",
    "scripts/test.sh": "pytest -q\n",
    "scripts/inner.sh": "sh scripts/deepest.sh\n",
    "scripts/deepest.sh": "true\n",
    "tools/run.py": "",
    "tools/suite/__main__.py": "",
    "checks/pytest.cfg": "",
    "checks/hook.js": "",
    "run": "#!/usr/bin/env bash\npython tools/run.py\n",
    "sub/Makefile": "check:\n\t./in_sub.sh\n",
    "sub/in_sub.sh": "",
    "Makefile": (
        "PY = python3\ninclude build/rules.mk\n-include local.mk\nall: engine\nengine: src/main.py\n\tcp $< $@\n"
        "test: prepare\n\t@$(PY) tools/run.py --quick\n\t-$(MAKE) -C sub check\n"
        "prepare:\n\tsh scripts/test.sh\nserve:\n\tpython3 src/main.py\n"
    ),
    "build/rules.mk": "",
    "src/main.py": "",
    "package.json": (
        '{"scripts": {"pretest": "node scripts/pre.js", "test": "jest --config checks/jest.js", "serve": "node src/s.js"}}'
    ),
    "scripts/pre.js": "",
    "checks/jest.js": "",
    "src/s.js": "",
    "tests/test_a.py": "",
    "cases.txt": "",
}


def of(*commands: str) -> dict[str, str]:
    return named_files.of(commands, FILES.get)


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("sh ci.sh", {"ci.sh", "tools/check.py", "scripts/inner.sh"}),
        ("./scripts/test.sh", {"scripts/test.sh"}),
        ("bash -euo pipefail scripts/test.sh", {"scripts/test.sh"}),
        ("bash -c 'cd tools; python3 run.py'", {"tools/run.py"}),
        ("sh < scripts/test.sh", {"scripts/test.sh"}),
        (". ./scripts/test.sh", {"scripts/test.sh"}),
        ("python tools/run.py", {"tools/run.py"}),
        ("CI=1 env A=b timeout -k 5 60 python3 -W error tools/run.py x", {"tools/run.py"}),
        ("python3 -m tools.suite --fast", {"tools/suite/__main__.py"}),
        ("python3 -c 'import x'", set()),
        ("uv run --frozen python tools/run.py", {"tools/run.py"}),
        ("coverage run tools/run.py", {"tools/run.py"}),
        ("pip install -q . && (python tools/run.py || exit 1); true", {"tools/run.py"}),
        ("if true; then sh scripts/test.sh; fi", {"scripts/test.sh"}),
        ("./run", {"run", "tools/run.py"}),
        ("cd tools && python3 check.py", {"tools/check.py"}),
        ("pytest -c checks/pytest.cfg tests/test_a.py", {"checks/pytest.cfg"}),
        ("node --require=checks/hook.js --test", {"checks/hook.js"}),
        ("make test", {"Makefile", "build/rules.mk", "tools/run.py", "scripts/test.sh", "sub/Makefile"}),
        ("make", {"Makefile", "build/rules.mk"}),
        ("make -C sub check", {"sub/Makefile", "sub/in_sub.sh"}),
        ("make serve", {"Makefile", "build/rules.mk", "src/main.py"}),
        ("npm test", {"package.json", "scripts/pre.js", "checks/jest.js"}),
        ("npm run serve -- --port 1", {"package.json", "src/s.js"}),
        ("pnpm t", {"package.json", "scripts/pre.js", "checks/jest.js"}),
        ("python3 -m pytest -q tests/test_a.py", set()),
        ("./engine < cases.txt", {"cases.txt"}),
        ("cat cases.txt", set()),
        ("sh ../outside.sh", set()),
        ("echo 'a quotation\nover lines' && sh ci.sh", {"ci.sh", "tools/check.py", "scripts/inner.sh"}),
        ("bash -c", set()),
        ("", set()),
    ],
)
def test_a_command_names_the_scripts_that_it_runs_and_those_that_they_run(command: str, files: set[str]):
    assert set(of(command)) == files


def test_each_file_is_told_with_what_names_it():
    assert of("sh ci.sh") == {"ci.sh": "sh ci.sh", "tools/check.py": "ci.sh", "scripts/inner.sh": "ci.sh"}


@pytest.mark.parametrize("text", ["{", "[]", '{"scripts": []}', '{"scripts": {"test": 3}}', "\0" * 100])
def test_what_cannot_be_read_names_nothing(text: str):
    assert set(named_files.of(["npm test"], {"package.json": text}.get)) == {"package.json"}


def test_a_script_of_any_length_and_form_ends():
    script = "((((" * 10_000 + "\n" + "a;" * 100_000 + "\n$(\n'\n" + "sh ci.sh\n" * 10_000
    assert "run.sh" in named_files.of(["sh run.sh"], {"run.sh": script}.get)
