"""The engine's tensors for one input, under the names of the reference data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import generate
from moss_cli.engine.prefill import prompt_tokens
from moss_cli.engine.row import DecodeRequest


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


@torch.inference_mode()
def inspect(
    engine: Engine, samples: np.ndarray | None, prompt_text: str, *, new_tokens: int = 24, time_markers: bool = True
) -> dict[str, np.ndarray]:
    """Everything from mel to greedy tokens. Stop tokens are decoded like any other.

    samples: [n] float32 at 16 kHz, or None for text alone. Returns `input_ids` [n] and
    `greedy_ids` [new_tokens] as int64, and as float32 `mel` [n_mels, T], `encoder` and
    `deepstack{i}` [tokens, output_dim], `adapter` [tokens, hidden], `last_logits` [vocab].
    """
    arrays: dict[str, np.ndarray] = {}
    audio = None
    if samples is not None:
        mel = engine.mel(samples)
        clip = engine.model.encode(mel)
        audio = engine.model.adapt(clip)
        arrays["mel"] = _array(mel)
        arrays["encoder"] = _array(clip.features)
        arrays.update({f"deepstack{i}": _array(tap) for i, tap in enumerate(clip.taps)})
        arrays["adapter"] = _array(audio.adapter)
    prompt = engine.ask(prompt_text, audio, time_markers=time_markers)
    arrays["input_ids"] = prompt.ids.numpy()
    arrays["last_logits"] = _array(engine.model(prompt_tokens([prompt], engine.model.device))[0])
    answer = generate(engine.model, [DecodeRequest(prompt, new_tokens)], frozenset())[0]
    arrays["greedy_ids"] = np.array(answer.ids, dtype=np.int64)
    return arrays
