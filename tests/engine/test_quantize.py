"""4-bit weights: made from the published bf16 values, and computed by the quick kernel where there is one."""

from __future__ import annotations

from pathlib import Path

import bitsandbytes
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit

import moss_cli
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.quantize import BLOCK_SIZE, is_quantised, nf4_linear

LEVEL, NEXT = 0.7229568362236023, 1.0  # the two highest values of NF4 (Dettmers et al., QLoRA, appendix E)


@pytest.fixture(scope="module")
def quantised() -> Engine:
    return load_engine(Path(moss_cli.__file__).parent / "weights" / "tiny", device="cpu", dtype="4bit")


def test_the_decoders_linears_alone_are_held_in_4_bits(quantised: Engine) -> None:
    held = [name for name, m in quantised.model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    parts = ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.down_proj", "mlp.gate_up_proj")
    n_layers = quantised.model.config.language.num_hidden_layers
    assert held == [f"language_model.layers.{i}.{part}" for i in range(n_layers) for part in parts]


def test_every_module_is_in_evaluation_mode(quantised: Engine, engine: Engine) -> None:
    for model in (quantised.model, engine.model):
        assert [name for name, module in model.named_modules() if module.training] == []


def test_a_linear_is_packed_for_the_fused_kernel_of_cpus_that_have_it(
    quantised: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear = quantised.model.get_submodule("language_model.layers.0.mlp.gate_up_proj")
    packed = []

    def pack(data: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        packed.append(state)
        return data, state

    monkeypatch.setattr("bitsandbytes.nn.modules._convert_weight_packed_for_cpu", pack)
    monkeypatch.setattr(linear, "support_avx512bf16_for_cpu", True)
    with torch.inference_mode():
        linear(torch.zeros(1, 1, quantised.model.config.language.hidden_size))
    assert packed == [linear.weight.quant_state]


def test_values_are_rounded_to_bf16_before_they_are_quantised(engine: Engine) -> None:
    middle = (LEVEL + NEXT) / 2
    value = torch.tensor(middle - 1e-5)  # nearer to the lower level, and in bf16 nearer to the upper one
    assert value.to(torch.bfloat16).item() > middle > value.item()
    weight = torch.zeros(1, BLOCK_SIZE)
    weight[0, 0], weight[0, 1] = 1.0, value
    made = nf4_linear(weight, torch.device("cpu"), torch.float32).weight
    assert isinstance(made, bitsandbytes.nn.Params4bit)
    assert made.quant_state.blocksize == BLOCK_SIZE and not made.quant_state.nested
    assert dequantize_4bit(made.data, made.quant_state).float()[0, :3].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("language_model.layers.11.self_attn.qkv_proj", True),
        ("language_model.layers.0.mlp.down_proj", True),
        ("language_model.layers.0.self_attn.q_norm", False),
        ("language_model.embed_tokens", False),
        ("lm_head", False),
        ("audio_adapter.gate_up_proj", False),
        ("audio_encoder.layers.0.self_attn.q_proj", False),
    ],
)
def test_what_is_quantised_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_quantised(name) is expected
