"""`python -m benchmarks [QUESTION ...]`: all of them, those of one database, or those named."""

import argparse
import asyncio
import gc
import sys

from benchmarks import (
    commands,
    figures,
    folding,
    http,
    live,
    memory,
    postgres_commands,
    postgres_folding,
    postgres_processes,
    postgres_stall,
    postgres_waiting,
    rebuild,
    snapshots,
    telemetry,
    waiting,
)

SQLITE = {
    "commands": commands,
    "telemetry": telemetry,
    "folding": folding,
    "waiting": waiting,
    "http": http,
    "live": live,
    "memory": memory,
}
POSTGRES = {
    "postgres_commands": postgres_commands,
    "postgres_processes": postgres_processes,
    "postgres_folding": postgres_folding,
    "postgres_waiting": postgres_waiting,
    "postgres_stall": postgres_stall,
    "rebuild": rebuild,
    "snapshots": snapshots,
}
GROUPS = {"sqlite": SQLITE, "postgres": POSTGRES}
QUESTIONS = {**SQLITE, **POSTGRES}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "question", nargs="*", choices=[*GROUPS, *QUESTIONS, []], help="default: all"
    )
    named = parser.parse_args().question or list(QUESTIONS)
    chosen = [question for name in named for question in GROUPS.get(name, [name])]
    gc.collect()
    gc.freeze()  # what was imported is not what is measured, on any side
    met = [asyncio.run(QUESTIONS[name].main()) for name in chosen]
    figures.write()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
