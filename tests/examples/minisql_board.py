"""A board that answers playbooks as the server would, and agents that play them in any interleaving a seed
chooses.

It knows leases, overlap, fences, the accidents of the materials, and the killing of a hanging agent: enough
to show that a choreography neither deadlocks nor meets an answer it does not expect.
"""
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from . import minisql_tree

WORK_TICKS_MAX = 6  # a task in the `work` loop lasts up to so many turns


@dataclass
class Board:
    tasks: dict
    holder: dict = field(default_factory=dict)  # task -> (agent, fence)
    done: set = field(default_factory=set)
    notes: set = field(default_factory=set)
    fences: int = 0
    main: list = field(default_factory=list)  # materials in the order they landed
    refusals: set = field(default_factory=set)
    taken_over: list = field(default_factory=list)  # (task, first agent, next agent)
    left_behind: dict = field(default_factory=dict)  # task -> the agent that died on it

    def state(self, task):
        return "done" if task in self.done else "claimed" if task in self.holder else "open"

    def overlaps(self, task):
        mine = minisql_tree.files(task)
        for other in self.holder:
            if any(fnmatchcase(file, glob) for file in mine for glob in self.tasks[other].paths):
                return True
            if any(fnmatchcase(file, glob) for file in minisql_tree.files(other) for glob in self.tasks[task].paths):
                return True
        return False

    def refused(self, code):
        self.refusals.add(code)
        return {"status": "refused", "code": code}

    def claim(self, agent, task):
        if task in self.holder:
            return self.refused("held")
        if task in self.done or not set(self.tasks[task].needs) <= self.done:
            return self.refused("no_task")
        if self.overlaps(task):
            return self.refused("overlap")
        self.fences += 1
        self.holder[task] = (agent, self.fences)
        if task in self.left_behind:
            self.taken_over.append((task, self.left_behind[task], agent))
        return {"status": "leased", "fence": self.fences, "task": {"id": task}}

    def task_of(self, agent, fence):
        return next((task for task, held in self.holder.items() if held == (agent, fence)), None)

    def push(self, agent, fence, change):
        """`change` is what stands in the workspace: a material, or "outside"."""
        task = self.task_of(agent, fence)
        if task is None:
            return self.refused("stale_fence")
        if change == "outside":
            return self.refused("outside_module")
        if change.startswith("half/") or change == "broken/T04":
            return self.refused("oracle_failed")
        if change == "broken/T01" and "T02" in self.main:
            return self.refused("regression")
        self.main.append(change)
        return {"status": "landed"}

    def release(self, agent, fence, outcome):
        task = self.task_of(agent, fence)
        if task is not None:
            del self.holder[task]
            if outcome == "done":
                self.done.add(task)
        return {"status": "released"}

    def dies(self, agent):
        for task, (owner, _) in list(self.holder.items()):
            if owner == agent:
                del self.holder[task]
                self.left_behind[task] = agent


class Agent:
    """Plays one step of its playbook a turn. `turn` answers whether it got on."""

    def __init__(self, name, steps, later, board, chance):
        self.name, self.steps, self.board, self.chance = name, steps, board, chance
        self.later = later  # what its next session plays
        self.place, self.saved, self.change, self.busy = 0, {}, "", None

    def working(self):
        return self.place < len(self.steps) and "work" in self.steps[self.place]

    def turn(self):
        if self.place >= len(self.steps):
            return False
        step = self.steps[self.place]
        if self.working():
            return self.work()
        wanted = step.get("if_status", {})
        if all(self.saved.get(name, {}).get("status") == status for name, status in wanted.items()):
            if not self.ready(step):
                return False
            self.play(step)
        self.place += 1
        return True

    def ready(self, step):
        if "await_note" in step:
            return step["await_note"] in self.board.notes
        if "await_task" in step:
            return self.board.state(step["await_task"]) == step["state"]
        return True

    def play(self, step):
        if "note" in step:
            self.board.notes.add(step["note"])
        elif "apply" in step:
            self.change = step["apply"]
        elif "shell" in step:
            self.shell(step)
        elif "call" in step:
            answer = self.call(step["call"], step["args"])
            named = "refused:" + answer["code"] if answer["status"] == "refused" else answer["status"]
            expected = step["expect"] if isinstance(step["expect"], list) else [step["expect"]]
            assert named in expected, f"{self.name} step {self.place}: {named}, expected {expected}"
            self.saved[step.get("save", "")] = answer
        elif "hang" in step:
            self.board.dies(self.name)
            self.steps, self.place = self.later, -1

    def shell(self, step):
        if ">> minisql/parser" in step["shell"]:
            self.before, self.change = self.change, "outside"
        elif step["shell"].startswith("git checkout"):
            self.change = self.before
        elif "refs/heads/main" in step["shell"]:
            assert step["expect_exit"] == "nonzero"
            self.board.refusals.add("git push to main")

    def call(self, tool, args):
        if tool == "claim_task":
            return self.board.claim(self.name, args["task"])
        fence = self.saved[args["fence"].split(".")[0].removeprefix("$")]["fence"]
        if tool == "push":
            return self.board.push(self.name, fence, self.change)
        if tool == "release_task":
            return self.board.release(self.name, fence, args["outcome"])
        assert tool == "run_oracle"
        return {"status": "failed" if self.change in ("broken/T04", "") or self.change.startswith("half/") else "passed"}

    def work(self):
        """Takes any open task, keeps it for some turns, lands it."""
        if self.busy is not None:
            task, fence, ticks = self.busy
            self.busy = (task, fence, ticks - 1)
            if ticks == 0:
                self.board.push(self.name, fence, task)
                self.board.release(self.name, fence, "done")
                self.busy = None
            return True
        board = self.board
        ready = [
            task for task in board.tasks
            if board.state(task) == "open" and set(board.tasks[task].needs) <= board.done and not board.overlaps(task)
        ]
        if not ready:
            return False
        task = self.chance.choice(ready)
        self.busy = (task, board.claim(self.name, task)["fence"], self.chance.randint(0, WORK_TICKS_MAX))
        return True
