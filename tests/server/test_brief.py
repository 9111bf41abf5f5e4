"""What an agent is told of a run stays within 4,000 characters, whatever the runner says and however many
suites there are.
"""

import json
from pathlib import Path

from . import toy
from .conftest import Server

ANSWER_CHARACTERS = 4_000
SUITES = {f"suite{number}": f"cases{number}" for number in range(5)}
CASES = 60
WILD = '"quoted"\n\\back\tslash\u2028 \N{SNOWMAN} \u0000' * 40


def suite(name: str, where: str) -> str:
    return f'\n[oracle.{name}]\nkind = "differential"\nrepo = "toy"\ncases = ["{where}/**/*.txt"]\ncandidate = "sh main.sh"\nreference = "cat"\nprotect = ["{where}/**"]\n'


def test_no_verdict_makes_an_answer_longer_than_its_budget(tmp_path: Path):
    head, _, tail = toy.TOML.partition("[oracle.words]")
    files = {
        "harness.toml": head
        + "".join(suite(name, where) for name, where in SUITES.items())
        + "\n[agents.worker]"
        + tail.partition("[agents.worker]")[2],
        "main.sh": toy.MAIN,
        "shout/README": "x\n",
        "count/README": "x\n",
        "tasks/1.md": toy.task("T01", "shout").replace('suite = "words"\n', ""),
    }
    files |= {
        f"{where}/{'deep/' * 12}g{number % 30}/{number}.txt": f"{number}\n"
        for where in SUITES.values()
        for number in range(CASES)
    }
    server = Server(toy.repository(tmp_path / "project", files), tmp_path / "state", 0.1)
    try:
        one = server.agent("reader")
        fence = one.call("claim_task", task="T01")["fence"]
        one.commit(one.clone(tmp_path / "one"), {"shout/x": "1\n"})
        asked = one.call("run_oracle", fence=fence, scope="full")
        assert asked["status"] == "running" and len(asked["text"]) <= ANSWER_CHARACTERS
        with server.http("runner") as http:
            while (claimed := http.post("/api/jobs/claim", json={"runner": "r"})).status_code == 200:
                job = claimed.json()
                told = wild(job) if job["job"] in asked["jobs"].values() else all_pass(job)
                assert (
                    http.post(
                        f"/api/jobs/{job['job']}/result", json={"runner": "r", "verdict": told}
                    ).status_code
                    == 200
                )
        server.world.bell.ring()
        answer = one.call("run_oracle", fence=fence, scope="full")
        assert (answer["status"], set(answer["suites"])) == ("failed", set(SUITES))
        assert 2_500 < len(answer["text"]) <= ANSWER_CHARACTERS, "and not much room is wasted"
        assert json.loads(answer["text"]) == {
            key: value for key, value in answer.items() if key not in ("text", "is_error")
        }
        assert sum(len(told["failures"]) for told in answer["suites"].values()) <= 3
        assert (
            all(told["counts"]["failed"] == CASES for told in answer["suites"].values())
            and "read_progress" in answer["more"]
        )
        alone = one.call("run_oracle", fence=fence, cases=["suite1:*"])
        assert list(alone["suites"]) == ["suite1"] and len(alone["text"]) <= ANSWER_CHARACTERS
        assert 0 < len(alone["suites"]["suite1"]["failures"]) <= 3 and all(
            failure["side_by_side"] for failure in alone["suites"]["suite1"]["failures"]
        )
    finally:
        server.stop()


def wild(job: dict) -> dict:
    """As bad as a verdict can be."""
    ids = [case["id"] for case in job["cases"]]
    failures = [
        {
            "id": id,
            "input": WILD,
            "candidate": {"output": WILD, "exit": 1, "error": WILD[:1_000]},
            "reference": {"output": WILD[::-1], "exit": 0},
            "difference": WILD,
        }
        for id in ids[:20]
    ]
    causes = [
        {"id": f"{number:08x}", "says": WILD[:160], "count": 1, "cases": [id]}
        for number, id in enumerate(ids[:50])
    ]
    return {
        "status": "failed",
        "reason": WILD,
        "outcomes": dict.fromkeys(ids, "fail"),
        "failures": failures,
        "causes": causes,
        "took_ms": 1,
    }


def all_pass(job: dict) -> dict:
    return {"status": "passed", "outcomes": {case["id"]: "pass" for case in job["cases"]}}
