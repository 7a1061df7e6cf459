"""`python -m benchmarks [QUESTION ...]`: run all of them, or those that are named."""

import argparse
import asyncio
import gc
import sys

from benchmarks import commands, folding, memory, waiting

QUESTIONS = {"commands": commands, "folding": folding, "waiting": waiting, "memory": memory}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("question", nargs="*", choices=[*QUESTIONS, []], help="default: all")
    chosen = parser.parse_args().question or list(QUESTIONS)
    gc.collect()
    gc.freeze()  # what was imported is not what is measured, on any side
    met = [asyncio.run(QUESTIONS[name].main()) for name in chosen]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
