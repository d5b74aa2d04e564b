"""``make torture``: a long run, its figures as a table, and 1 as exit code when a promise was broken.

KILLS and SEED are read from the environment.
"""

import os
import secrets
import sys
from collections import Counter

from tests.torture.run import Outcome, run
from tests.torture.stack import Victim

FAULTS_SHOWN = 30
KILLS_A_MINUTE = 10


def main() -> int:
    """Run, print, and give the exit code."""
    kills = int(os.environ.get("KILLS", "200"))
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    _say(f"{kills} kills, SEED={seed}. It takes about {kills / KILLS_A_MINUTE:.0f} minutes.")
    outcome = run(kills, seed, _say)
    _say(*_table(outcome))
    faults = outcome.faults
    _say("", f"{len(faults)} faults.", *faults[:FAULTS_SHOWN])
    return bool(faults)


def _table(outcome: Outcome) -> list[str]:
    """The figures, as Markdown."""
    expected, lost, surplus = (
        Counter(fact[0] for fact in facts.elements()) for facts in (outcome.expected, outcome.lost, outcome.surplus)
    )
    told = outcome.answers
    twice = told["keys used twice on purpose"]
    again = told["answers given again"]
    return [
        "", "| killed | times | ready again after, at most | on average |", "|---|---|---|---|",
        *(f"| {each} | {count} | {_seconds(outcome.readiness.get(each, []))} |" for each, count in _kills(outcome)),
        "", "| what the clients were told | facts | lost | twice, or not asked for |", "|---|---|---|---|",
        *(f"| {kind} | {count:,} | {lost[kind]} | {surplus[kind]} |" for kind, count in sorted(expected.items())),
        f"| all | {expected.total():,} | {lost.total()} | {surplus.total()} |",
        "", "| | |", "|---|---|",
        f"| minutes | {outcome.seconds / 60:.1f} |",
        f"| kills while an upload was under way | {outcome.met_uploads} |",
        f"| writes that were acknowledged | {told['writes acknowledged'] + again - twice:,} |",
        f"| requests sent again, after a lost connection or a 503 | {told['requests sent again']:,} |",
        f"| answers that were lost on purpose | {told['answers lost on purpose']:,} |",
        f"| keys used twice on purpose | {twice:,} |",
        f"| answers given again under their key | {again:,} |",
        f"| complaints of clients | {len(outcome.complaints)} |",
    ]  # fmt: skip


def _kills(outcome: Outcome) -> list[tuple[Victim, int]]:
    return sorted(outcome.kills.items())


def _seconds(measured: list[float]) -> str:
    return f"{max(measured):.1f} s | {sum(measured) / len(measured):.1f} s" if measured else "| "


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
