"""One tree of errors. Each carries its evidence and says the cure; none of them ever grants anything."""

from __future__ import annotations

from dataclasses import dataclass


class CookiegateError(Exception):
    """Base of every error this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy file.

    Attributes:
        file: path of the policy file as the user gave it.
        key: dotted TOML path of the offending key, such as ``service[2].hosts[0]``.
        message: what is wrong and what to write instead.
    """

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.message}" if self.key else f"{self.file}: {self.message}"


class PolicyError(CookiegateError):
    """The policy file cannot be used. ``problems`` lists every reason found, not just the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class StoreError(CookiegateError):
    """The store could not do what was asked. Nothing was acknowledged; the message says what to do."""


class SchemaError(StoreError):
    """The store's schema is newer than this code, or half-way through a migration."""


class UnreadableBody(CookiegateError):
    """A response body that would be shown as a page cannot be read, so it is withheld."""


class FormError(CookiegateError):
    """A visitor's form that cannot be honoured. ``status`` is the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)
