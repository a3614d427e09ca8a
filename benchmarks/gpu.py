"""The day on which there is a GPU: all that has to be tried and measured on one, by one command, in eight minutes.

    make bench-gpu                        the tests marked `gpu`, then the sizes 4b and 8b in bf16, NF4 and int4
    make bench-gpu DRY=1                  the same at small sizes; without CUDA it is always so
    python benchmarks/gpu.py --out FOLDER [--minutes 8] [--only 4b:bf16 8b:nf4]

It needs this folder and a Python with torch, numpy, safetensors, tokenizers, pytest and hypothesis; with transformers
there, both are timed in turns; bitsandbytes is needed for NF4, and what needs it fails without it and is noted. Each
case is a process of its own: one that fails or takes too long costs the others nothing. FOLDER/gpu.json has everything,
FOLDER/gpu.md the table for docs/performance.md; both are written anew after each case.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TESTS = "tests/engine/test_cuda.py"
TESTS_S = 120.0  # of the eight minutes, at most
LEAST_S = 30.0  # with less left, a case is not begun
TAIL = 4000  # characters of what a process said


@dataclass(frozen=True)
class Case:
    """A size in a dtype, and how it is measured. `beside`: the batches for which transformers takes turns."""

    shape: str
    dtype: str
    batches: tuple[int, ...]
    audio_s: float
    new_tokens: int
    turns: int
    beside: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.shape}:{self.dtype}"


BATCHES = (1, 8, 32, 64)
LARGE = [  # what matters most comes first
    *(Case(shape, "bf16", BATCHES, 30.0, 64, 3, BATCHES) for shape in ("4b", "8b")),
    *(Case(shape, "nf4", BATCHES, 30.0, 64, 3, (1, 8)) for shape in ("4b", "8b")),
    *(Case(shape, "int4", BATCHES, 30.0, 64, 3, ()) for shape in ("4b", "8b")),  # transformers has nothing like it
]
SMALL = [Case("tiny", dtype, (1, 2), 4.0, 4, 1, (1, 2)) for dtype in ("fp32", "4bit")]


def run_case(case: Case, device: str, file: Path) -> None:
    """Measure a case in this process. What there is is written after each part: the next one may fail."""
    from dataclasses import asdict, replace

    from moss_cli.bench.bench import bench
    from moss_cli.bench.plan import Plan
    from moss_cli.bench.profile import profile_steps
    from moss_cli.bench.shapes import parse_shape
    from moss_cli.bench.subject import load_shape
    from moss_cli.bench.transformers_twin import build_twin, check_transformers, compare

    def tell(doing: str) -> None:
        print(f"{case.name}: {doing}", flush=True)

    def write(**more: Any) -> None:
        found.update(result=result.document(), **more)
        file.write_text(json.dumps(found))

    found: dict[str, Any] = {}
    plan = Plan(case.batches, case.audio_s, case.new_tokens, case.turns)
    tell("loading")
    subject = load_shape(parse_shape(case.shape), device=device, dtype=case.dtype)
    result = bench(subject, plan, tell)
    write()
    try:
        write(profile=asdict(profile_steps(subject)))
    except Exception as error:  # noqa: BLE001 - it is noted, and the figures are there
        write(profile_error=f"{type(error).__name__}: {error}")
    if not case.beside:
        return
    try:
        check_transformers()
        tell("loading the same weights into transformers")
        plan = replace(plan, batches=case.beside)
        result = replace(result, comparison=compare(subject, build_twin(subject), plan, tell))
        write()
    except Exception as error:  # noqa: BLE001 - as above
        write(comparison_error=f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Said:
    """How a process ended: its exit code, None if it was stopped, and the last of what it said."""

    code: int | None
    tail: str
    seconds: float


def in_a_process(arguments: list[str], limit_s: float) -> Said:
    """Run Python with these arguments in the working tree, for so long at most."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said, _ = process.communicate(timeout=limit_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        code = None
    print(said[-TAIL:], flush=True)
    return Said(code, said[-TAIL:], time.monotonic() - began)


def run_all(cases: list[Case], device: str, folder: Path, minutes: float) -> dict[str, Any]:
    """Tests, then the cases, as long as there is time; the document, which is also written after each of them."""
    deadline = time.monotonic() + 60 * minutes
    tests = in_a_process(["-m", "pytest", "-m", "gpu", TESTS, "-rs", "-p", "no:cacheprovider"], TESTS_S)
    document: dict[str, Any] = {"tests": asdict(tests), "cases": []}
    write(folder, document)
    for case in cases:
        left_s = deadline - time.monotonic()
        if left_s < LEAST_S:
            document["cases"].append({"name": case.name, "error": "no time was left"})
            continue
        file = folder / f"{case.name.replace(':', '-')}.part"
        file.unlink(missing_ok=True)
        said = in_a_process([__file__, "--case", case.name, "--device", device, "--out", str(file)], left_s)
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        file.unlink(missing_ok=True)
        if said.code != 0:
            found["error"] = "stopped: no time was left" if said.code is None else said.tail
        document["cases"].append({"name": case.name, "seconds": said.seconds, **found})
        write(folder, document)
    return document


def write(folder: Path, document: dict[str, Any]) -> None:
    """Both files."""
    (folder / "gpu.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "gpu.md").write_text(markdown(document))


def markdown(document: dict[str, Any]) -> str:
    """The table for docs/performance.md, with what was measured where and what went wrong."""
    results = [case["result"] for case in document["cases"] if "result" in case]
    lines = []
    if results:
        machine = results[0]["machine"]
        lines += [
            f"{machine['device_name']}, {machine['processor']} with {machine['cores']} cores, "
            f"torch {machine['torch']}, moss {results[0]['moss']}, {results[0]['date'][:10]}.",
            "",
        ]
    lines += [
        "| | batch | ms a step | tokens/s | bandwidth | prefill, tokens/s | matrices | transcription | transformers |",
        "| --- |" + " --: |" * 8,
    ]
    for result in results:
        lines += [_row(result, one) for one in result["batches"]]
    lines += ["", "| | load | device memory | encoder | first token | launches a step |", "| --- |" + " --: |" * 5]
    lines += [_summary(case) for case in document["cases"] if "result" in case]
    failures = [f"- {case['name']}: {_last_line(case['error'])}" for case in document["cases"] if "error" in case]
    for part in ("profile", "comparison"):
        failures += [
            f"- {case['name']}, {part}: {case[f'{part}_error']}"
            for case in document["cases"]
            if f"{part}_error" in case
        ]
    lines += ["", f"Tests: {_last_line(document['tests']['tail'])}", *failures]
    return "\n".join(lines) + "\n"


def _row(result: dict[str, Any], one: dict[str, Any]) -> str:
    turns = (result["comparison"] or {"batches": []})["batches"]
    ratio = next((f"{turn['ratio']:.2f} x" for turn in turns if turn["batch"] == one["batch"]), "")
    cells = (
        f"{result['subject']['name']} {result['subject']['dtype']}",
        str(one["batch"]),
        f"{1000 * one['step_s']:.2f}",
        f"{one['tokens_s']:,.0f}",
        f"{one['bandwidth_share']:.0%}",
        f"{one['prefill_tokens_s']:,.0f}",
        f"{one['matrix_share']:.0%}",
        f"{one['real_time']:,.0f} x",
        ratio,
    )
    return f"| {' | '.join(cells)} |"


def _summary(case: dict[str, Any]) -> str:
    result = case["result"]
    device = result["run_memory"]["device"]
    cells = (
        f"{result['subject']['name']} {result['subject']['dtype']}",
        f"{result['load_s']:.1f} s",
        f"{device / 1e9:.1f} GB" if device else "",
        f"{result['encoder_real_time']:,.0f} x",
        f"{1000 * result['first_token_s']:.0f} ms",
        f"{case['profile']['launches']:.0f}" if "profile" in case else "",
    )
    return f"| {' | '.join(cells)} |"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-gpu")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", nargs="+", metavar="SHAPE:DTYPE")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--device", default="cuda:0", help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        case = next(one for one in [*LARGE, *SMALL] if one.name == args.case)
        run_case(case, args.device, args.out)
        return
    import torch

    is_dry = args.dry_run or not torch.cuda.is_available()
    if is_dry:
        print("a dry run: small sizes" + ("" if args.dry_run else ", since there is no CUDA device"), flush=True)
    cases = [case for case in (SMALL if is_dry else LARGE) if not args.only or case.name in args.only]
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    document = run_all(cases, device, args.out, args.minutes)
    print(markdown(document))
    failed = any("error" in case for case in document["cases"]) or document["tests"]["code"] not in (0, 5)
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
