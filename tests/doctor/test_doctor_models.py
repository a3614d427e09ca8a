"""Which models run here, in which dtype, how fast, and what to do where they do not."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mending import is_command

from moss_cli.doctor.models import Placing, check_model, instead, speed
from moss_cli.engine.fit import DeviceFacts
from moss_cli.models.registry import load_registry

TINY = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"
ROOMY = DeviceFacts("cuda", 10**12)
PLACING = Placing("4b-instruct", torch.device("cuda:0"), "H200", ROOMY, "auto", "nf4", None, ())


def free(n_bytes: float, **other: Any) -> Placing:
    """A GPU with so much memory free."""
    return replace(PLACING, facts=DeviceFacts("cuda", int(n_bytes)), **other)


def status(name: str, placing: Placing = PLACING) -> tuple[str, str, str | None]:
    check = check_model(name, load_registry(), placing)
    assert (check.fix is not None and is_command(check.fix)) == (check.status != "ok")
    return check.status, check.text, check.fix


def measured(name: str, *speeds: float, weights: str = "checkpoint", dtype: str = "bf16", on: str = "H200") -> dict:
    subject = {"name": name, "weights": weights, "dtype": dtype}
    machine = {"device": "cuda", "device_name": on}
    return {"subject": subject, "machine": machine, "batches": [{"real_time": one} for one in speeds]}


def add_model(folder: Path, name: str = "mine") -> None:
    (Path(os.environ["MOSS_CONFIG_DIR"]) / "models.toml").write_text(f'[models.{name}]\npath = "{folder}"\n')


def test_a_model_that_is_here_runs_in_the_best_dtype_that_fits() -> None:
    assert status("tiny") == ("ok", "runs as bf16 on cuda:0; speed: moss bench --model tiny", None)
    assert status("tiny", free(26_000_000))[1].startswith("runs as bf16 ")
    assert status("tiny", replace(PLACING, dtype="4bit"))[1].startswith("runs as 4bit (nf4) on cuda:0; ")


def test_the_default_model_that_is_missing_is_an_error_mended_by_pulling_it() -> None:
    text = "not on this machine, 10.5 GB to download; would run as bf16 on cuda:0"
    assert status("4b-instruct") == ("error", text, "moss models pull 4b-instruct")
    assert status("4b-thinking") == ("ok", text, None)


def test_what_fits_only_in_4_bits_would_run_in_them() -> None:
    assert status("8b-instruct", free(12e9))[1].endswith("would run as 4bit (nf4) on cuda:0")


def test_a_model_too_large_is_replaced_by_the_largest_that_fits() -> None:
    text = "does not fit on cuda:0 as 4bit: its weights take 6.9 GB, and 7.0 GB are free"
    fix = "moss models pull 4b-instruct && export MOSS_MODEL=4b-instruct"
    assert status("8b-instruct", free(7e9)) == ("warning", text, fix)
    assert status("8b-instruct", free(7e9, default="8b-instruct")) == ("error", text, fix)
    assert instead(load_registry().entries.values(), free(1e9)) == "export MOSS_MODEL=tiny"


def test_a_dtype_that_does_not_fit_where_another_would_is_left_to_moss() -> None:
    found = status("4b-instruct", free(9e9, dtype="bf16"))
    text = "does not fit on cuda:0 as bf16: its weights take 10.5 GB, and 9.0 GB are free"
    assert found == ("error", text, "export MOSS_DTYPE=auto")


def test_4_bits_that_do_not_work_keep_a_model_from_running_only_where_it_needs_them() -> None:
    broken = free(9e9, four_bit_fix="nvidia-smi -L")
    text = "fits on cuda:0 only as 4bit, which does not work here"
    assert status("4b-instruct", broken) == ("error", text, "nvidia-smi -L")
    assert status("4b-instruct", replace(broken, facts=ROOMY))[2] == "moss models pull 4b-instruct"


@pytest.mark.parametrize("damage", ["missing", "cut", "config"])
def test_a_checkpoint_that_is_damaged_is_an_error_whatever_it_is(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(TINY, folder)
    weights = next(folder.glob("*.safetensors"))
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (folder / "config.json").write_text("{")
    add_model(folder)
    found = status("mine")
    assert (found[0], found[2]) == ("error", "export MOSS_MODEL=tiny")


def test_a_damaged_download_is_pulled_again_and_a_partial_one_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    revision = load_registry().entries["4b-instruct"].revision
    folder = tmp_path / "models--OpenMOSS-Team--MOSS-Audio-4B-Instruct" / "snapshots" / str(revision)
    shutil.copytree(TINY, folder)
    weights = next(folder.glob("*.safetensors"))
    assert status("4b-instruct")[0] == "ok"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert status("4b-instruct")[0::2] == ("error", "moss models pull 4b-instruct")
    weights.unlink()
    assert status("4b-instruct")[1].startswith("not on this machine, 10.5 GB to download")


def test_a_folder_as_the_default_model() -> None:
    placing = replace(PLACING, default=str(TINY))
    check = check_model(str(TINY), load_registry(), placing)
    assert (check.status, check.name, check.facts["model"]) == ("ok", f"{TINY} (default)", str(TINY))


def test_a_default_model_that_nobody_knows() -> None:
    found = status("no-such", replace(PLACING, default="no-such"))
    assert found == ("error", "no model named no-such", "export MOSS_MODEL=tiny")


def test_the_speed_is_the_best_that_was_kept_of_this_device_and_dtype() -> None:
    kept = (
        measured("tiny", 9, on="A100"),
        measured("tiny", 8, dtype="nf4"),
        measured("tiny", 3, 5.25),
        measured("tiny", 7, weights="random"),
    )
    placing = replace(PLACING, kept=kept)
    assert speed("tiny", "bf16", placing) == 5.25
    assert speed("tiny", "nf4", placing) == 8
    assert speed("tiny", "fp32", placing) is None
    assert status("tiny", placing)[1] == "runs as bf16 on cuda:0; 5.25 x real time"
    check = check_model("tiny", load_registry(), placing)
    assert check.facts == {"model": "tiny", "here": True, "device": "cuda:0", "dtype": "bf16", "real_time": 5.25}


def test_random_weights_of_a_models_size_are_as_good_and_a_measurement_without_batches_says_nothing() -> None:
    placing = replace(PLACING, kept=(measured("4b", 20, weights="random"), measured("8b", weights="random")))
    assert speed("4b-thinking", "bf16", placing) == 20
    assert speed("8b-instruct", "bf16", placing) is None
    assert speed("tiny", "bf16", placing) is None
