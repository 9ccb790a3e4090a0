"""``python -m benchmarks``: lists the questions; ``python -m benchmarks <question>``: answers one."""

from __future__ import annotations

import argparse
import importlib
import sys

QUESTIONS = {
    "results": "How does everything compare, in one run? Writes RESULTS.md with tables and plots.",
    "foundation": "How close is the engine to raw asyncpg, and how far ahead of its peers?",
    "filtered": "How good and how fast is searching under a filter?",
    "crossover": "From how many rows that pass a filter on is which way to them the quickest?",
    "langchain": "What does LangChain's interface cost, and how far ahead of langchain-postgres is it?",
    "llama_index": "What does LlamaIndex's interface cost, and how far ahead of its own PGVectorStore is it?",
    "quality": "Are answers better with words than without, and than the peers' hybrid search gives?",
    "keyword": "How fast is searching by words, and by words and embedding together?",
    "pipeline": "What does taking in whole sources cost, does a killed run resume exactly, who notices re-embedding?",
    "soak": "Does anything get lost, doubled or fat when everything goes on at once, and backends die at random?",
    "tenants": "Which layout serves many tenants best: one table, HASH partitions, or one for each domain?",
    "security": "What does row-level security cost?",
    "calibrate": "What does each way to the rows cost on this machine?",
}
"""Name of a question, which is the module with its `add_arguments` and `main`, and what it asks."""


def main(arguments: list[str] | None = None) -> int:
    """Answer the question that is named on the command line, or list them all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measurements of pgrecall, one a question.",
        epilog="\n".join(f"  {name:12} {asks}" for name, asks in QUESTIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", nargs="?", choices=QUESTIONS, help="which one to answer")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its options; --help lists them")
    chosen = parser.parse_args(arguments)
    if chosen.question is None:
        parser.print_help()
        return 0
    question = importlib.import_module(f"benchmarks.{chosen.question}")
    options = argparse.ArgumentParser(
        prog=f"python -m benchmarks {chosen.question}", description=QUESTIONS[chosen.question]
    )
    question.add_arguments(options)
    return question.main(options.parse_args(chosen.rest))


if __name__ == "__main__":
    sys.exit(main())
