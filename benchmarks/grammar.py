"""What decoding under a grammar costs: the same answers of the embedded model with and without, in turns in one run.

    python benchmarks/grammar.py [--rounds 15] [--batch 4]

Every turn decodes the transcripts of some of samples/; both ways must give the same tokens, or there is nothing to
compare. What is measured is the processor's time on one thread, which other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import moss_cli
from moss_cli.answers import Form
from moss_cli.audio.decode import load
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import generate
from moss_cli.engine.model import Prompt
from moss_cli.engine.row import DecodeRequest, Generation
from moss_cli.tasks.transcribe import Transcribe

# Clips of which the model says the same when it is free.
SAMPLES = [Path(__file__).parents[1] / "samples" / f"{name}.wav" for name in ("meeting", "station", "weather")]


def decode(engine: Engine, prompts: list[Prompt], form: Form | None) -> list[Generation]:
    matchers = [engine.grammars.matcher(form) if form else None for _ in prompts]
    requests = [DecodeRequest(prompt, 400, matcher=matcher) for prompt, matcher in zip(prompts, matchers, strict=True)]
    return generate(engine.model, requests, engine.stop_ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    engine = load_engine(
        Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="fp32", with_grammars=True
    )
    [question, *_] = Transcribe().questions
    heard = [engine.hear(load(path).samples) for path in SAMPLES]
    prompts = [engine.ask(question.prompt, heard[i % len(heard)]) for i in range(args.batch)]
    ways: dict[str, Form | None] = {"free": None, "under a grammar": question.form}
    answers = {name: decode(engine, prompts, form) for name, form in ways.items()}  # and warmed up
    if len({tuple(tuple(answer.ids) for answer in found) for found in answers.values()}) != 1:
        raise SystemExit("the answers differ with and without a grammar: no like for like")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(args.rounds):
        for name, form in list(ways.items())[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            decode(engine, prompts, form)
            seconds[name].append(time.process_time() - start)
    ratios = [under / free for free, under in zip(*seconds.values(), strict=True)]
    n_tokens = sum(len(answer.ids) for answer in answers["free"])
    print(f"{n_tokens} tokens in {args.batch} answers, {args.rounds} rounds, one thread")
    for name, values in seconds.items():
        print(f"{name:<16} {1000 * statistics.median(values):7.1f} ms")
    print(f"{'ratio':<16} {statistics.median(ratios):7.3f} (median of the rounds; the cost is what is above 1)")


if __name__ == "__main__":
    main()
