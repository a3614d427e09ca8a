"""A loaded checkpoint: samples and a question in, text out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from moss_cli.answers import Turn
from moss_cli.audio.mel import log_mel
from moss_cli.engine.checkpoint import CheckpointFiles, Tensors, read_headers
from moss_cli.engine.config import ProcessorConfig, load_config, load_processor_config, read_json
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.devices import FourBit, Placement, keep_fp32, pick_placement, threads_for
from moss_cli.engine.grammar import Grammars
from moss_cli.engine.memory import auto_slots, cache_budget, is_out_of_memory, out_of_memory, release, return_freed
from moss_cli.engine.model import WINDOWS_AT_ONCE, AudioFeatures, EncodedClip, MossAudio, Prompt
from moss_cli.engine.prompt import build_prompt
from moss_cli.engine.quantised_copy import open_copy, read_copy_info
from moss_cli.engine.quantize import MakeFourBit
from moss_cli.engine.thinking import END_THINK, THINK
from moss_cli.engine.tokenizer import Detokenizer, Tokenizer, load_tokenizer
from moss_cli.engine.weights import Make, MakePlain, empty_model, fill, is_tied, unknown_tensors
from moss_cli.errors import DeviceError, ModelError, UsageError

OUT_OF_TIME = "\n\nThere is no more time to think, so I answer from what I have.\n"
STOP_TOKENS = ("<|im_end|>", "<|endoftext|>")


@dataclass
class Engine:
    """One checkpoint on one device. `windows_at_once`: of the encoder, lowered for good when memory runs out.
    `n_threads`: that it computes in, on a CPU."""

    model: MossAudio
    tokenizer: Tokenizer
    processor: ProcessorConfig
    placement: Placement
    stop_ids: frozenset[int]
    grammars: Grammars
    load_seconds: float
    warnings: tuple[str, ...] = ()
    windows_at_once: int = WINDOWS_AT_ONCE
    n_threads: int = 1

    def compute_here(self) -> None:
        """Let the calling thread compute in as many threads as suit the model: it may be another than loaded it."""
        torch.set_num_threads(self.n_threads)

    def mel(self, samples: np.ndarray) -> torch.Tensor:
        """[n] float32 samples at 16 kHz to the model's log-mel, [n_mels, T]."""
        p = self.processor
        return log_mel(
            torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)),
            sample_rate=p.sample_rate,
            n_fft=p.n_fft,
            hop_length=p.hop_length,
            n_mels=p.n_mels,
        )

    def hear(self, samples: np.ndarray) -> AudioFeatures:
        """Encode a clip, [n] float32 at 16 kHz. Raises DeviceError where memory runs out with one window at a time."""
        [found] = self.hear_all([samples])
        if isinstance(found, Exception):
            raise found
        return found

    @torch.inference_mode()
    def hear_all(self, clips: Sequence[np.ndarray]) -> list[AudioFeatures | Exception]:
        """Encode clips, [n] float32 at 16 kHz each, together; each is encoded as it would be alone.

        Where that fails they are tried one by one: in the place of the one at fault stands what `hear` raises.
        """
        try:
            return [*self.model.adapt_all(self._encoded([self.mel(samples) for samples in clips]))]
        except Exception as error:  # noqa: BLE001 - told as the clip's own
            failure = error
        release(failure, self.model.device)
        if len(clips) > 1:
            return [found for samples in clips for found in self.hear_all([samples])]
        return [out_of_memory(self.model.device, failure) if is_out_of_memory(failure) else failure]

    def _encoded(self, mels: Sequence[torch.Tensor]) -> list[EncodedClip]:
        while True:
            try:
                return self.model.encode_all(mels, self.windows_at_once)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                shortage = error
            release(shortage, self.model.device)
            if self.windows_at_once == 1:
                raise out_of_memory(self.model.device, shortage)
            self.windows_at_once //= 2

    @property
    def can_think(self) -> bool:
        """Whether the vocabulary has the tokens that enclose a thought."""
        return {THINK, END_THINK} <= self.tokenizer.special.keys()

    def closing_words(self) -> list[int]:
        """Tokens that end a thought whose budget is used up, as Qwen3 does it: a sentence, then the mark."""
        return [*self.tokenizer.encode(OUT_OF_TIME), self.tokenizer.special[END_THINK]]

    def ask(
        self,
        text: str,
        audio: AudioFeatures | None,
        *,
        time_markers: bool | None = None,
        think: bool | None = None,
        turns: Sequence[Turn] = (),
    ) -> Prompt:
        """The prompt of a question about a clip, after earlier `turns`; `time_markers` None means as the checkpoint
        says, and `think` None as the model pleases."""
        markers = self.processor.enable_time_marker if time_markers is None else time_markers
        return build_prompt(
            self.tokenizer, self.processor, text, audio=audio, time_markers=markers, think=think, turns=turns
        )

    def decoding(self, n_slots: int | None = None) -> Decoding:
        """A decode loop of this model; `n_slots` None: as many as suit the device."""
        device = self.model.device
        budget = cache_budget(device)
        if n_slots is None:
            n_slots = auto_slots(self.model, device)
        return Decoding(self.model, self.stop_ids, n_slots=n_slots, max_cache_bytes=budget)

    def text(self, ids: Sequence[int]) -> str:
        """The text of an answer, special tokens written out."""
        detokenizer = Detokenizer(self.tokenizer)
        return "".join(detokenizer.push(i) for i in ids) + detokenizer.finish()


def load_engine(
    folder: Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    four_bit: FourBit | None = None,
    compute_dtype: torch.dtype | None = None,
    with_grammars: bool = False,
    revision: str | None = None,
    copy: Path | None = None,
) -> Engine:
    """Load a checkpoint folder, or a 4-bit copy of one. Raises ModelError, DeviceError, UsageError.

    four_bit: what 4bit is, None for what is best on the device. compute_dtype: what the rest is computed in then, None
    for bf16 (or fp16) where the device computes in it. with_grammars: prepare the vocabulary for grammars beside the
    reading of the weights. copy: where a 4-bit copy of the checkpoint at this revision may lie, which is read in its
    place if 4bit is what is loaded.
    """
    start = time.monotonic()
    if not folder.is_dir():
        raise ModelError(f"no checkpoint folder: {folder}")
    config, processor = load_config(folder), load_processor_config(folder)
    if processor.n_mels != config.audio.num_mel_bins:
        raise ModelError(
            f"{folder}: the processor makes {processor.n_mels} mel bins, the encoder takes {config.audio.num_mel_bins}"
        )
    opened = _opened(folder, copy, revision, device, dtype, four_bit, compute_dtype)
    placement, n_parameters = opened.placement, sum(parameter.numel() for parameter in opened.model.parameters())
    n_threads = threads_for(placement.device, n_parameters)
    torch.set_num_threads(n_threads)
    keep_fp32(placement)
    tokenizer = load_tokenizer(folder)
    stop_ids = _stop_ids(folder, tokenizer)
    _check_ids(config.language.vocab_size, processor, tokenizer, stop_ids)
    eos_id = tokenizer.special.get(STOP_TOKENS[0], min(stop_ids))
    grammars = Grammars(tokenizer, config.language.vocab_size, eos_id)
    if with_grammars:
        grammars.prepare()
    fill_model(opened.model, opened.tensors, placement)
    return Engine(
        opened.model,
        tokenizer,
        processor,
        placement,
        stop_ids,
        grammars,
        time.monotonic() - start,
        opened.warnings,
        n_threads=n_threads,
    )


@dataclass(frozen=True)
class _Opened:
    """A checkpoint's tensors, the empty model that they belong to, and where they are to go."""

    tensors: Tensors
    model: MossAudio
    placement: Placement
    warnings: tuple[str, ...] = ()


def _opened(
    folder: Path,
    copy: Path | None,
    revision: str | None,
    device: str,
    dtype: str,
    four_bit: FourBit | None,
    compute: torch.dtype | None,
) -> _Opened:
    """See `load_engine`."""
    if itself := read_copy_info(folder):
        if dtype not in ("auto", "4bit"):
            raise UsageError(
                f"{folder} holds 4-bit weights, which cannot be loaded as {dtype}", hint="use --dtype 4bit"
            )
        stored, model = open_copy(folder, itself)
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        return _Opened(
            stored, model, pick_placement(device, "4bit", n_parameters, four_bit=itself.kind, compute=compute)
        )
    files = CheckpointFiles(read_headers(folder))
    model = empty_model(load_config(folder), files.shapes)
    n_parameters = sum(prod(shape) for shape in files.shapes.values())
    placement = pick_placement(device, dtype, n_parameters, four_bit=four_bit, compute=compute)
    unknown = unknown_tensors(model, files.shapes)
    warnings = [f"the checkpoint's tensor {name} is not known and was left out" for name in unknown]
    info = read_copy_info(copy) if copy and placement.four_bit else None
    if copy and info and info.kind == placement.four_bit:
        if info.is_of(folder, revision):
            return _Opened(*open_copy(copy, info), placement, tuple(warnings))
        warnings.append(f"the 4-bit copy in {copy} is of another state of the checkpoint, and was not read")
    return _Opened(files, model, placement, tuple(warnings))


def fill_model(model: MossAudio, tensors: Tensors, placement: Placement) -> None:
    """Put a checkpoint's tensors, or those of its quantised copy, into a model on the meta device. Raises ModelError,
    DeviceError."""
    device, compute = placement.device, placement.compute
    tied = is_tied(model, tensors.shapes)
    make: Make = MakePlain(tensors, device, compute)
    if placement.four_bit:
        make = MakeFourBit(tensors, placement.four_bit, device, compute, tied)
    try:
        fill(model, make, tied=tied)
        return_freed()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"the model does not fit on {device} as {'4bit' if placement.four_bit else placement.dtype}",
            hint="try --dtype 4bit or --device cpu",
            code="out_of_memory",
        ) from error


def _stop_ids(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The published stop tokens by name, and what generation_config.json adds."""
    ids = {tokenizer.special[name] for name in STOP_TOKENS if name in tokenizer.special}
    extra = read_json(folder / "generation_config.json", required=False).get("eos_token_id", [])
    ids.update(i for i in (extra if isinstance(extra, list) else [extra]) if isinstance(i, int))
    if not ids:
        raise ModelError(f"{folder}: the tokenizer has none of the stop tokens {', '.join(STOP_TOKENS)}")
    return frozenset(ids)


def _check_ids(vocab_size: int, processor: ProcessorConfig, tokenizer: Tokenizer, stop_ids: frozenset[int]) -> None:
    ids = {
        processor.audio_token_id,
        processor.audio_start_id,
        processor.audio_end_id,
        *tokenizer.special.values(),
        *stop_ids,
    }
    if max(ids) >= vocab_size:
        raise ModelError(f"token id {max(ids)} is outside the model's vocabulary of {vocab_size}")
