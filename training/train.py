"""Train the embedded model, in slices of minutes that go on from the last one.

    python -m training.train encoder --run DIR --banks DIR --minutes 12
    python -m training.train short   --run DIR --banks DIR --minutes 14
    python -m training.train speech  --run DIR --banks DIR --minutes 65
    python -m training.train long    --run DIR --banks DIR --minutes 32
    python -m training.train sounds  --run DIR --banks DIR --minutes 20
    python -m training.train all     --run DIR --banks DIR --minutes 75
    python -m training.train settle  --run DIR --banks DIR --minutes 30

`encoder` learns to hear words (the word heads alone); `short` adds the decoder on single
sentences; `speech` goes to clips of up to three sentences and 12 s, `long` to the whole speech domain.
`sounds` adds the domains of the commands that need no more than ears, `all` the rest; `settle` goes on with smaller
steps, and more of the meetings, which take longest.
A run without a state begins with the weights of `--from`, a checkpoint folder, if one is given, and learns the heads
for them first (training.more_vocabulary --from gives the run its vocabulary).

A slice warms up, holds its rate and lets it fall to nothing at the end of its minutes; killed before that, it goes
on from the state it last saved. With `--processes N`, each has its own core and its own batches, and all take the same
step: on two cores a third quicker than one process with two threads, of which one waits in all that is small.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.optim import AdamW, Muon
from tqdm import tqdm

from training.batches import Batches, loader
from training.export import export
from training.mixture import Mix, domains
from training.network import Batch, TrainingModel
from training.progress import seconds_bar
from training.team import ALONE, Team
from training.vocabulary import write_vocabulary


@dataclass(frozen=True)
class Stage:
    """One kind of slice."""

    mix: Mix
    with_decoder: bool
    peak_rate: float


SPEECH = {"transcribe": 1.0}
SOUNDS = {"transcribe": 0.3, "describe-speaker": 0.15, "emotion": 0.15, "scene": 0.2, "music": 0.2}
ALL = {"transcribe": 0.33, "mixed": 0.03, "describe-speaker": 0.03, "emotion": 0.04, "scene": 0.05, "music": 0.06} | {
    "ask": 0.22,
    "summarize": 0.24,
}
SETTLE = {**ALL, "transcribe": 0.28, "ask": 0.19, "summarize": 0.32}
# Few tokens of these answers say something, and what the encoder hears well is not told before these are learned.
STRESS = {"emotion": 3.0, "music": 2.0, "ask": 2.0, "summarize": 2.0}
STAGES = {
    "encoder": Stage(Mix((1, 2), 6.0, 7_000, SPEECH), with_decoder=False, peak_rate=2e-3),
    "short": Stage(Mix((1, 1), 5.0, 7_000, SPEECH), with_decoder=True, peak_rate=2e-3),
    "speech": Stage(Mix((1, 3), 12.0, 7_000, SPEECH), with_decoder=True, peak_rate=1.5e-3),
    "long": Stage(Mix((1, 4), 30.0, 7_000, SPEECH), with_decoder=True, peak_rate=1e-3),
    "sounds": Stage(Mix((1, 3), 12.0, 7_000, SOUNDS), with_decoder=True, peak_rate=1.2e-3),
    "all": Stage(Mix((1, 4), 30.0, 6_000, ALL, STRESS), with_decoder=True, peak_rate=1e-3),
    "settle": Stage(Mix((1, 4), 30.0, 6_000, SETTLE, STRESS), with_decoder=True, peak_rate=6e-4),
}
SAVE_EVERY_S = 180
WARMUP_STEPS = 100
HEADS_STEPS, HEADS_RATE = 250, 3e-3
MEETING = "meeting"  # file by which processes find each other


def optimisers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for everything else."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        hidden = parameter.dim() == 2 and not any(part in name for part in ("embed", "head"))
        (matrices if hidden else others).append(parameter)
    return [
        Muon(matrices, lr=1.0, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        AdamW(others, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def compile_layers(model: TrainingModel) -> None:
    """Fuse what lies between the matrix products, which takes a quarter less time; the first steps take minutes."""
    torch._dynamo.config.cache_size_limit = 64
    encoder = model.moss.audio_encoder
    encoder.stem = torch.compile(encoder.stem, dynamic=True)  # type: ignore[method-assign]
    for layer in encoder.layers:
        layer.compile(dynamic=True)
    model.before_attention = torch.compile(model.before_attention, dynamic=True)
    model.after_attention = torch.compile(model.after_attention, dynamic=True)


def rate(progress: float, step: int, peak: float) -> float:
    """Warm-up, then `peak` until 40 % of the slice, then down to 2 % of it."""
    fall = 1.0 if progress < 0.4 else max(0.02, 1 - (progress - 0.4) / 0.6)
    return peak * fall * min(1.0, (step + 1) / WARMUP_STEPS)


def losses(model: TrainingModel, batch: Batch, *, with_decoder: bool) -> tuple[torch.Tensor, dict[str, float]]:
    with torch.autocast("cpu", torch.bfloat16):
        features, taps = model.encode(batch)
    with torch.autocast("cpu", torch.bfloat16):
        frame, ctc = model.word_losses(features, batch)
        total = frame + 0.5 * ctc if not with_decoder else 0.3 * frame + 0.15 * ctc
        shown = {"frame": frame.item(), "ctc": ctc.item()}
        if batch.tracks.shape[1]:
            tracks = model.track_loss(features, batch)
            total = total + 0.15 * tracks
            shown |= {"tracks": tracks.item()}
        if with_decoder:
            answer, right, heard = model.answer_loss(features, taps, batch)
            total = total + answer
            shown |= {"answer": answer.item(), "right": right.item()}
            if batch.tracks.shape[1]:
                states = model.state_loss(heard, batch)
                total = total + 0.1 * states
                shown |= {"states": states.item()}
    return total, shown


class Slice:
    """A slice of training and its state on disk, which the first process of the team keeps."""

    def __init__(self, run: Path, stage_name: str, minutes: float, banks: Path, team: Team = ALONE) -> None:
        self.run, self.stage_name, self.minutes, self.banks, self.team = run, stage_name, minutes, banks, team
        self.stage = STAGES[stage_name]
        self.labels = track_labels(run, banks, self.stage.mix)
        self.model = TrainingModel(labels=self.labels)
        compile_layers(self.model)
        self.optimisers = optimisers(self.model)
        self.step, self.elapsed_s, self.seed = 0, 0.0, 1
        self._restore()

    def _restore(self) -> None:
        path = self.run / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        load_known(self.model, state["model"])
        self.seed = state["seed"] + 1
        if state["stage"] == self.stage_name and not state["ended"]:
            for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(values)
            self.step, self.elapsed_s = state["step"], state["elapsed_s"]

    def save(self, *, ended: bool = False) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "stage": self.stage_name,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "seed": self.seed,
            "ended": ended,
        }
        torch.save(state, self.run / "state.new")
        (self.run / "state.new").replace(self.run / "state.pt")
        export(self.model.moss, self.run / "vocabulary", self.run / "checkpoint")

    def learn_heads(self, n_steps: int = HEADS_STEPS) -> None:
        """Learn the heads alone, on what the model hears already: new ones would unteach it."""
        self.model.moss.requires_grad_(False)
        optimiser = AdamW([p for p in self.model.parameters() if p.requires_grad], betas=(0.9, 0.98), weight_decay=0.0)
        dataset = Batches(self.banks, self.run / "vocabulary", self.stage.mix, self.team.rank, self.labels)
        for step, batch in zip(range(n_steps), loader(dataset), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = HEADS_RATE * (1 - step / n_steps)
            total, _ = losses(self.model, batch, with_decoder=self.stage.with_decoder)
            total.backward()  # type: ignore[no-untyped-call]
            self.team.average_gradients(self.model)
            optimiser.step()
            self.model.zero_grad(set_to_none=True)
        self.model.moss.requires_grad_(True)

    def train(self) -> None:
        seed = self.seed * 100 + self.team.rank
        dataset = Batches(self.banks, self.run / "vocabulary", self.stage.mix, seed, self.labels)
        last = saved = time.monotonic()
        averages: dict[str, float] = {}
        bar = seconds_bar(self.stage_name, 60 * self.minutes, self.elapsed_s, is_shown=self.team.rank == 0)
        for batch in loader(dataset):
            progress = self.team.agreed(self.elapsed_s / (60 * self.minutes))
            if progress >= 1:
                break
            shown = self._update(batch, rate(progress, self.step, self.stage.peak_rate))
            if not all(math.isfinite(v) for v in shown.values()):
                raise RuntimeError(f"step {self.step}: {shown}")
            for key, value in shown.items():
                averages[key] = 0.95 * averages.get(key, value) + 0.05 * value
            self.step += 1
            now = time.monotonic()
            self.elapsed_s, last = self.elapsed_s + now - last, now
            if self.team.rank > 0:
                continue
            bar.update(self.elapsed_s - bar.n)
            if self.step % 25 == 0:
                self._log(bar, averages)
            if now - saved > SAVE_EVERY_S:
                self.save()
                saved = now
        bar.close()
        if self.team.rank == 0:
            self.save(ended=True)

    def _log(self, bar: tqdm, averages: Mapping[str, float]) -> None:
        """Show the figures beside the bar; where nobody watches, as a line of the log."""
        figures = " ".join(f"{k} {v:.3f}" for k, v in averages.items())
        bar.set_postfix_str(f"step {self.step} {figures}")
        if bar.disable:
            print(f"{self.stage_name} step {self.step} {self.elapsed_s / 60:.1f} min {figures}", flush=True)

    def _update(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
        total, shown = losses(self.model, batch, with_decoder=self.stage.with_decoder)
        total.backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return shown


def track_labels(run: Path, banks: Path, mix: Mix) -> list[str]:
    """The labels of the tracks that the domains of a mix have, the earlier stages' first: found by drawing."""
    path = run / "tracks.json"
    known: list[str] = json.loads(path.read_text()) if path.exists() else []
    rng = random.Random(0)
    found: set[str] = set()
    for draw in domains(banks, mix).values():
        for _ in range(400):
            found |= {track.label for track in draw(rng).tracks}
    labels = [*known, *sorted(found - set(known))]
    if labels != known:
        path.write_text(json.dumps(labels))
    return labels


def load_known(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Load what fits; a head that has grown keeps its first rows, and a layer that is new begins by passing on what it
    is given, so that the model is the one that it was."""
    own = model.state_dict()
    for name, values in own.items():
        if name in state:
            values[tuple(slice(0, n) for n in state[name].shape)].copy_(state[name])
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            values.zero_()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--run", type=Path, required=True, help="folder for state, log and checkpoint")
    parser.add_argument("--banks", type=Path, required=True, help="folder with the banks of every domain")
    parser.add_argument("--from", dest="source", type=Path, help="checkpoint folder to begin with")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--processes", type=int, default=1, help="how many train together, with a core each")
    args = parser.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    if not (args.run / "vocabulary").exists():
        write_vocabulary(args.run / "vocabulary")
    if args.processes == 1:
        train(0, args)
        return
    (args.run / MEETING).unlink(missing_ok=True)
    spawn(train, args=(args,), nprocs=args.processes)  # type: ignore[no-untyped-call]


def train(rank: int, args: argparse.Namespace) -> None:
    """One process of the team."""
    team = Team(args.processes, rank)
    torch.set_num_threads(2 if team.size == 1 else 1)
    torch.manual_seed(0)
    team.join(args.run / MEETING)
    run = Slice(args.run, args.stage, args.minutes, args.banks, team)
    if args.source and not (args.run / "state.pt").exists():
        load_known(run.model.moss, load_file(args.source / "model.safetensors"))
        run.learn_heads()
    run.train()
    team.leave()


if __name__ == "__main__":
    main()
