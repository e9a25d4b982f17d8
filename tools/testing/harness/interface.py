# SPDX-License-Identifier: GPL-2.0
"""What user space is told when it asks KVM what there is, and how the answers
of both backends compare."""

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from workspace import tables

TABLE = Path(__file__).parents[1] / "tests/interface.toml"
# A line of riscv/interface_test.
ANSWER = re.compile(r"^interface: (.*) = (.*)$", re.M)
NONE = "no"


@dataclass(frozen=True)
class Differs:
    """Questions that the backends answer differently, and why."""

    questions: tuple
    why: str


def read(table=TABLE) -> list[Differs]:
    return [Differs(tuple(entry["questions"]), entry["why"])
            for entry in tables.load(table).get("differs", [])]


def answers(output: str) -> dict[str, str]:
    """{question: answer} of what the program printed."""
    return dict(ANSWER.findall(output))


def differences(found: dict[str, dict]) -> dict[str, str]:
    """{question: what each backend answers}, of those that differ."""
    questions = dict.fromkeys(question for said in found.values()
                              for question in said)
    all_answers = {question: {backend: said.get(question, NONE)
                              for backend, said in found.items()}
                   for question in questions}
    return {question: ", ".join(f"{backend}: {answer}"
                                for backend, answer in by_backend.items())
            for question, by_backend in all_answers.items()
            if len(set(by_backend.values())) > 1}


def unexpected(by_cpu: dict[str, dict], excepted: list[Differs]) -> list[str]:
    """The differences that no exception has."""
    patterns = [pattern for entry in excepted for pattern in entry.questions]
    return [f"{question} on {cpu}: {answer}"
            for cpu, found in by_cpu.items()
            for question, answer in differences(found).items()
            if not any(fnmatch.fnmatchcase(question, pattern)
                       for pattern in patterns)]


def needless(by_cpu: dict[str, dict], excepted: list[Differs]) -> list[str]:
    """The exceptions that match no difference, on any CPU."""
    differing = {question for found in by_cpu.values()
                 for question in differences(found)}
    return [f"{pattern} does not differ"
            for entry in excepted for pattern in entry.questions
            if not fnmatch.filter(differing, pattern)]
