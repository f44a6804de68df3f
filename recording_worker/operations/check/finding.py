"""Finding: what one check says about one thing."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from recording_worker.errors import BootError, ConfigError, WorkerError


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The service starts, but somebody should know this."""
    PROBLEM = "problem"
    """The service can't start."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one thing that the service needs."""

    subject: str
    """What was looked at, such as `storage`."""
    verdict: Verdict
    text: str
    """What was found. It names the thing, so that it can be read alone."""
    advice: str = ""
    """What to do about it; empty if nothing needs to be done."""
    exit_code: int = 0
    """Of a problem: 2 if what the user asked for is wrong, 3 if something is away or refuses. See `errors`."""

    @classmethod
    def ok(cls, subject: str, text: str) -> Self:
        return cls(subject, Verdict.OK, text)

    @classmethod
    def warning(cls, subject: str, text: str, advice: str = "") -> Self:
        return cls(subject, Verdict.WARNING, text, advice)

    @classmethod
    def problem(cls, subject: str, error: WorkerError | str, advice: str = "", exit_code: int | None = None) -> Self:
        """`exit_code` is the error's unless given; without an error it is a BootError's."""
        code = error.exit_code if isinstance(error, WorkerError) else BootError.exit_code
        return cls(subject, Verdict.PROBLEM, str(error), advice, exit_code or code)

    @property
    def sentence(self) -> str:
        """What was found, and what to do about it, in one line."""
        return f"{self.text} ({self.advice})" if self.advice else self.text


def exit_code_of(findings: Iterable[Finding]) -> int:
    """Return the exit code that goes with these: wrong settings decide it, then the highest."""
    codes = {finding.exit_code for finding in findings if finding.verdict is Verdict.PROBLEM}
    return ConfigError.exit_code if ConfigError.exit_code in codes else max(codes, default=0)


def error_of(findings: Iterable[Finding]) -> WorkerError | None:
    """Return an error with a line for each problem; None if there is none."""
    problems = [finding for finding in findings if finding.verdict is Verdict.PROBLEM]
    if not problems:
        return None
    lines = dict.fromkeys(line for problem in problems for line in problem.sentence.splitlines())
    kind = ConfigError if exit_code_of(problems) == ConfigError.exit_code else BootError
    return kind("\n".join(lines))
