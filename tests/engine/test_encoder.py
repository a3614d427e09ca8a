"""The encoder: what its shortcuts compute is what they stand for, whosever windows are encoded together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import moss_cli
from moss_cli.engine.engine import Engine, load_engine


@pytest.fixture(scope="module")
def tiny() -> Engine:
    return load_engine(Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="fp32")


def mel(n_frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(128, n_frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_frames", [400, 333, 9])
def test_the_stem_in_onednns_layout_computes_what_it_does_with_gradients(tiny: Engine, n_frames: int) -> None:
    windows = torch.stack([mel(n_frames, seed) for seed in range(3)])
    encoder = tiny.model.audio_encoder
    expected = encoder.stem(windows)
    assert expected.requires_grad == any(one.requires_grad for one in encoder.parameters())
    with torch.no_grad():
        found = encoder.stem(windows)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
def test_clips_come_out_in_their_order_as_they_do_alone(tiny: Engine) -> None:
    mels = [mel(n_frames, seed) for seed, n_frames in enumerate((1000, 150, 400, 150, 401, 30))]
    together = tiny.model.encode_all(mels, 3)
    for one, found in zip(mels, together, strict=True):
        expected = tiny.model.encode(one)
        assert found.features.shape == expected.features.shape
        for ours, theirs in zip((found.features, *found.taps), (expected.features, *expected.taps), strict=True):
            assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    features = tiny.model.adapt_all(together)
    assert [one.n_tokens for one in features] == [len(one.features) for one in together]
    for clip, ours in zip(together, features, strict=True):
        theirs = tiny.model.adapt(clip)
        for a, b in zip((ours.adapter, *ours.deepstack), (theirs.adapter, *theirs.deepstack), strict=True):
            assert (a - b).abs().max() < 1e-4 * b.abs().max()


@torch.no_grad()
def test_a_clips_features_hold_no_memory_of_the_others(tiny: Engine) -> None:
    clips = tiny.model.encode_all([mel(400), mel(1200)])
    for one in tiny.model.adapt_all(clips):
        for tensor in (one.adapter, *one.deepstack):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
