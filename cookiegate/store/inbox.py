"""What waits to be written: choices without delay, page views and counts up to a limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..errors import StoreError
from ..record import ConsentRecord, Count, Sighting, UsageRecord


@dataclass(frozen=True, slots=True)
class Sightings:
    """A number of sightings of one thing: an event for each would fill the inbox."""

    sighting: Sighting
    times: int


Event = UsageRecord | Count | Sightings


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice on its way to the disk. ``settle`` is called once, from any thread: None means committed."""

    record: ConsentRecord
    settle: Callable[[StoreError | None], None]
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one transaction."""

    choices: tuple[Choice, ...] = ()
    events: tuple[Event, ...] = ()

    def __len__(self) -> int:
        return len(self.choices) + len(self.events)

    def parts(self) -> tuple[Batch, Batch]:
        """Two smaller batches, in order: the choices and the rest, or else halves."""
        if self.choices and self.events:
            return Batch(choices=self.choices), Batch(events=self.events)
        half = len(self) // 2
        return Batch(self.choices[:half], self.events[:half]), Batch(self.choices[half:], self.events[half:])


class Inbox:
    """A bounded queue with many producers and one consumer. Producers never wait.

    Args:
        limit: most choices, and most page views and counts, that may be in memory.
        batch: most page views and counts handed out at once.
    """

    def __init__(self, *, limit: int, batch: int) -> None:
        self._limit = limit
        self._batch = batch
        self._changed = threading.Condition()
        self._choices: deque[Choice] = deque()
        self._events: deque[Event] = deque()
        self._in_hand = 0
        self._working = False
        self._resting_until = 0.0
        self._deadline: float | None = None
        self.refused = 0

    @property
    def closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._deadline is not None

    @property
    def expired(self) -> bool:
        """Whether the time that `close` gave is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def queued(self) -> int:
        """How many page views and counts are in memory, those of the present transaction included."""
        return len(self._events) + self._in_hand

    def add_choice(self, choice: Choice) -> bool:
        """Queue a choice; False where the inbox is closed or full."""
        with self._changed:
            if self.closed or len(self._choices) >= self._limit:
                return False
            self._choices.append(choice)
            self._changed.notify_all()
            return True

    def add_event(self, event: Event) -> bool:
        """Queue a page view or count; False, and one more ``refused``, where the inbox is closed or full."""
        with self._changed:
            if self.closed or self.queued >= self._limit:
                self.refused += 1
                return False
            self._events.append(event)
            self._changed.notify_all()
            return True

    def take(self, *, wait: float) -> Batch | None:
        """Everything that waits, up to the size of a batch; empty after ``wait`` seconds; None when it is
        over.

        What was taken counts as queued until `done`.
        """
        until = time.monotonic() + wait
        with self._changed:
            while not self._is_over():
                now = time.monotonic()
                if self._is_ready(now):
                    return self._pop(now)
                if now >= until:
                    return Batch()
                self._changed.wait(self._next_look(until) - now)
            return None

    def put_back(self, events: Sequence[Event], *, pause: float) -> bool:
        """Return page views that could not be written, in front, and let them rest for ``pause`` seconds.

        False where it is too late for another try.
        """
        with self._changed:
            self._in_hand -= len(events)
            if self.expired:
                return False
            self._events.extendleft(reversed(events))
            self._resting_until = time.monotonic() + pause
            return True

    def done(self) -> None:
        """What was taken has been written, put back or given up."""
        with self._changed:
            self._in_hand = 0
            self._working = False
            self._changed.notify_all()

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until nothing is queued or in hand; False after ``timeout`` seconds. Ends a rest."""
        with self._changed:
            self._resting_until = 0.0
            self._changed.notify_all()
            return self._changed.wait_for(self._is_empty, timeout)

    def close(self, timeout: float) -> None:
        """Take nothing more in; hand out what there is for ``timeout`` seconds at most."""
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._resting_until = 0.0
            self._changed.notify_all()

    def clear(self) -> Batch:
        """Remove what is left, and count its events as refused."""
        with self._changed:
            left = Batch(tuple(self._choices), tuple(self._events))
            self._choices.clear()
            self._events.clear()
            self.refused += len(left.events)
            return left

    def _is_empty(self) -> bool:
        return not (self._working or self._choices or self._events)

    def _is_ready(self, now: float) -> bool:
        return bool(self._choices) or (bool(self._events) and now >= self._resting_until)

    def _is_over(self) -> bool:
        return self.expired or (self.closed and not (self._choices or self._events))

    def _next_look(self, until: float) -> float:
        moments = [until]
        if self._events:
            moments.append(self._resting_until)
        if self._deadline is not None:
            moments.append(self._deadline)
        return min(moments)

    def _pop(self, now: float) -> Batch:
        choices = tuple(self._choices)
        self._choices.clear()
        number = min(len(self._events), self._batch) if now >= self._resting_until else 0
        events = tuple(self._events.popleft() for _ in range(number))
        self._in_hand = number
        self._working = True
        return Batch(choices, events)
