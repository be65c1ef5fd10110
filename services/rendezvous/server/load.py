"""How hard one partition is pressed, and who therefore rests: candidates first, then challengers; the others never.

Pressed is an answer that nobody could give in time, or that was given in the last part of its time. Levels go up one by
one while many are, and to the end of a kind while most are; down again one by one when hardly any was for a while, so
that they do not go to and fro::

    level           0     1     2     3     4
    candidates      0    1/2    1     1     1
    challengers     0     0     0    1/2    1
"""

from __future__ import annotations

from collections import deque

from rendezvous.messages import Decisions, Reason

LEVELS = ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (1.0, 1.0))
"""Shares of requests that candidates, and challengers, leave out."""
WINDOW_US = 1_000_000
"""How far back is looked. A choice: all must rest within seconds, or what piles up meanwhile is late; below FEWEST
answers a second nothing is concluded."""
FEWEST = 50
"""Answers in the window before anything is concluded."""
PRESSED = 0.05
"""Share at which one more level rests. A choice: a twentieth is far above what a pause of a runtime does."""
HARD = 0.5
"""Share at which all of the next kind rest together: what piles up meanwhile would be late for as long as it lasts."""
CALM = 0.01
CALM_US = 10_000_000
"""So long hardly anybody was pressed before one level less rests: longer than work takes to pile up again."""
LAST_PART = 0.1
"""Of a deadline: an answer that is decided so close before its last moment was nearly late."""
REJECTED = int(Reason.REJECTED)
UNANSWERED = {int(reason) for reason in (Reason.DEFAULT, Reason.EXPIRED, Reason.OVERLOADED)}


class Load:
    """Counts answers, says when the level changes."""

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self._answers: deque[tuple[int, int, int]] = deque()
        self._changed_us: int | None = None
        self._pressed_us: int | None = None

    def answered(self, decisions: Decisions, margin_us: int, deadline_us: int) -> None:
        """Take in what was decided; the margin before a deadline, and the usual deadline, are the plan's."""
        close_us = margin_us + round(LAST_PART * deadline_us)
        rows = zip(decisions.reasons.tolist(), decisions.slacks_us.tolist(), strict=True)
        pressed = [slack_us < close_us or reason in UNANSWERED for reason, slack_us in rows if reason != REJECTED]
        self._answers.append((decisions.decided_us, len(pressed), sum(pressed)))

    def skipped(self, count: int, now_us: int) -> None:
        """So many requests were left for later: nobody answers them in time."""
        self._answers.append((now_us, count, count))

    def change(self, now_us: int) -> int | None:
        """The new level, when there is one."""
        while self._answers and self._answers[0][0] < now_us - WINDOW_US:
            self._answers.popleft()
        count = sum(answers for _, answers, _ in self._answers)
        share = sum(pressed for _, _, pressed in self._answers) / count if count else 0.0
        if count >= FEWEST and share > CALM:
            self._pressed_us = now_us
        if self._changed_us is not None and now_us - self._changed_us < WINDOW_US:
            return None  # what the last change does is not to be seen yet
        if count >= FEWEST and share > PRESSED and self.level < len(LEVELS) - 1:
            return self._to(self.level + (2 - self.level % 2 if share > HARD else 1), now_us)
        since_us = max(self._pressed_us or 0, self._changed_us or 0)
        if self.level and now_us - since_us >= CALM_US:
            return self._to(self.level - 1, now_us)
        return None

    def _to(self, level: int, now_us: int) -> int:
        self.level, self._changed_us = level, now_us
        return level


def level_of(candidates: float, challengers: float) -> int:
    """The level that has these shares, or the next higher one."""
    return next((n for n, shares in enumerate(LEVELS) if shares >= (candidates, challengers)), len(LEVELS) - 1)
