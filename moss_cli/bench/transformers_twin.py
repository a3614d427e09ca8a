"""The same decoder in Hugging Face's transformers, with the same weights, and both of them timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from moss_cli.audio.torch_threads import usual_threads
from moss_cli.bench.ceilings import synchronise
from moss_cli.bench.measure import Tell, answer, random_prompt
from moss_cli.bench.plan import Plan
from moss_cli.bench.result import Comparison, Turns
from moss_cli.bench.subject import Subject, check_room
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.nf4 import BLOCK
from moss_cli.engine.quantize import is_quantised
from moss_cli.errors import UsageError

N_PROMPT = 32  # tokens; short, since it is decoding that is compared
LONG_S = 30.0  # after so many seconds of a batch, two turns suffice


@dataclass(frozen=True)
class Twin:
    """transformers' model, what it is called, and the numbers of threads with which it is tried: torch's own default,
    and ours. The one that is faster counts."""

    model: Any
    name: str
    threads: tuple[int, ...]


def check_transformers() -> str:
    """The version that is installed. Raises UsageError where none is."""
    try:
        return metadata.version("transformers")  # without importing it, which takes memory and seconds
    except metadata.PackageNotFoundError as error:
        raise UsageError("transformers is not installed", hint="pip install transformers, where moss is") from error


def build_twin(subject: Subject) -> Twin:
    """Load the subject's weights into Qwen3ForCausalLM. Raises UsageError without transformers, DeviceError where there
    is no room for a second model."""
    version = check_transformers()
    check_room(f"{subject.name} in transformers, beside ours,", subject.config, subject.placement)
    from transformers import Qwen3ForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    device, dtype = subject.device, subject.placement.compute
    with torch.device("meta"):
        model = Qwen3ForCausalLM(_config(subject))
    tensors, in_4_bits = subject.tensors(), subject.placement.four_bit is not None
    for name in tensors.shapes:
        if name.startswith("language_model.") or name == "lm_head.weight":
            place = name.replace("language_model.", "model.", 1)
            if in_4_bits and is_quantised(name.removesuffix(".weight")):
                _put_nf4(model, place, tensors.read(name), device, dtype)
            else:
                _put(model, place, tensors.read(name).to(device, dtype))
    if subject.config.language.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    rotary = model.model.rotary_emb  # its frequencies are no weights: made anew, off the meta device
    with torch.device(device):
        model.model.rotary_emb = type(rotary)(model.config)
    what = f"transformers {version}" + (" with bitsandbytes' NF4" if in_4_bits else "")
    return Twin(model.eval(), what, tuple(dict.fromkeys((usual_threads(), torch.get_num_threads()))))


def _config(subject: Subject) -> Any:
    from transformers import Qwen3Config

    language = subject.config.language
    return Qwen3Config(
        hidden_size=language.hidden_size,
        num_hidden_layers=language.num_hidden_layers,
        num_attention_heads=language.num_attention_heads,
        num_key_value_heads=language.num_key_value_heads,
        head_dim=language.head_dim,
        intermediate_size=language.intermediate_size,
        vocab_size=language.vocab_size,
        rope_theta=language.rope_theta,
        rms_norm_eps=language.rms_norm_eps,
        max_position_embeddings=language.max_position_embeddings,
        tie_word_embeddings=language.tie_word_embeddings,
        bos_token_id=None,
        eos_token_id=None,
    )


def _put(model: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    model.get_submodule(owner).register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))


def _put_nf4(model: nn.Module, name: str, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> None:
    """As transformers quantises with bitsandbytes: its linear in the place of torch's."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    owner, _, _ = name.rpartition(".")
    parent, _, leaf = owner.rpartition(".")
    with torch.device("meta"):
        linear = Linear4bit(*reversed(tensor.shape), bias=False, compute_dtype=dtype, quant_type="nf4")
    linear.weight = Params4bit(
        tensor.to(torch.bfloat16),
        requires_grad=False,
        blocksize=BLOCK,
        compress_statistics=False,
        quant_type="nf4",
    ).to(device)
    setattr(model.get_submodule(parent), leaf, linear)


def compare(subject: Subject, twin: Twin, plan: Plan, tell: Tell) -> Comparison:
    """Both answer the same prompts of text, greedily and with no stop token, in turns."""
    done = []
    for n_rows in plan.batches:
        tell(f"beside {twin.name}: {plan.new_tokens} tokens, batch {n_rows}")
        done.append(_compare_batch(subject, twin, n_rows, plan))
    return Comparison(twin.name, N_PROMPT, plan.new_tokens, tuple(done))


def _compare_batch(subject: Subject, twin: Twin, n_rows: int, plan: Plan) -> Turns:
    new_tokens, decoding = plan.new_tokens, Decoding(subject.model, frozenset(), n_slots=n_rows)
    prompts = [random_prompt(subject.model, None, N_PROMPT, seed) for seed in range(n_rows)]
    inputs = torch.stack([prompt.ids for prompt in prompts]).to(subject.device)
    began = time.perf_counter()
    ours, _ = answer(decoding, prompts, new_tokens)  # these two do not count
    theirs = _generate(twin.model, inputs, new_tokens)
    ours_s: list[float] = []
    theirs_s: dict[int, list[float]] = {n: [] for n in twin.threads}
    while len(ours_s) < min(2, plan.turns) or (len(ours_s) < plan.turns and time.perf_counter() - began < LONG_S):
        at = time.perf_counter()
        ours, _ = answer(decoding, prompts, new_tokens)
        ours_s.append(time.perf_counter() - at)
        for n_threads, times in theirs_s.items():
            with _threads(n_threads):
                synchronise(subject.device)
                at = time.perf_counter()
                theirs = _generate(twin.model, inputs, new_tokens)
                times.append(time.perf_counter() - at)
    threads, best = min(theirs_s.items(), key=lambda one: statistics.median(one[1]))
    ratios = [their / our for our, their in zip(ours_s, best, strict=True)]
    our_s, their_s = statistics.median(ours_s), statistics.median(best)
    return Turns(
        batch=n_rows,
        turns=len(ours_s),
        ours_s=our_s,
        theirs_s=their_s,
        ratio=their_s / our_s,
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        threads=threads,
        first_difference=first_difference(ours, theirs),
    )


def _generate(model: Any, inputs: Tensor, new_tokens: int) -> list[list[int]]:
    """What transformers makes of prompts [B, n]: so many tokens of each."""
    with torch.inference_mode():
        made = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            use_cache=True,
        )
    tokens: list[list[int]] = made[:, inputs.shape[1] :].tolist()
    return tokens


def first_difference(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> int | None:
    """The first place at which two answers to the same prompt are not the same token, over all of them; None where
    there is none."""
    places = [i for a, b in zip(ours, theirs, strict=True) for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return min(places, default=None)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """So many threads of torch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
