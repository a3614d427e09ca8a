"""The training code: what is drawn, what is labelled, what is measured, and that a slice goes on."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from moss_cli.engine.config import load_processor_config
from moss_cli.engine.engine import load_engine
from moss_cli.engine.tokenizer import load_tokenizer
from training.batches import HEARD_WEIGHT, KEY_WEIGHT, LETTER_WEIGHT, Batches, frame_words
from training.clips import Clip, Segment, empty_clip, finish, lay_out
from training.examples import MOST_COUNTED, Asked, Track, counted
from training.export import export
from training.mixture import Mix, segments_answer
from training.network import N_CLASSES, SILENCE, TINY, Answers, Batch, TrainingModel
from training.sentences import PATTERNS, RESERVED_PATTERNS, sentence, vocabulary
from training.train import load_known
from training.vocabulary import write_vocabulary
from training.voices import RESERVED_VARIANTS, Spoken, draw_voice

renderers = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)


def beep(text: str, seconds: float = 1.0) -> Spoken:
    samples = np.sin(np.arange(int(16_000 * seconds)) * 0.2).astype(np.float32)
    return Spoken(text, samples, [i * seconds / len(text.split()) for i in range(len(text.split()))])


@pytest.mark.parametrize("reserved", [False, True])
def test_sentences_have_3_to_10_words_of_the_lexicon(reserved: bool) -> None:
    rng, words = random.Random(3), set(vocabulary())
    for _ in range(3000):
        drawn = sentence(rng, reserved=reserved).split()
        assert 3 <= len(drawn) <= 10
        assert set(drawn) <= words


def test_every_word_of_the_lexicon_is_drawn() -> None:
    rng = random.Random(4)
    assert {w for _ in range(6000) for w in sentence(rng).split()} == set(vocabulary())
    assert len(vocabulary()) == N_CLASSES - 1 == 219


def test_patterns_kept_for_testing_are_not_trained_on() -> None:
    assert not set(PATTERNS) & set(RESERVED_PATTERNS)


def test_voices_kept_for_testing_are_never_drawn_for_training() -> None:
    rng = random.Random(5)
    trained = {draw_voice(rng).name for _ in range(3000)}
    kept = {draw_voice(rng, reserved=True).name for _ in range(300)}
    assert not any(name.endswith(tuple(RESERVED_VARIANTS)) or name == "awb" for name in trained)
    assert all(name.endswith(tuple(RESERVED_VARIANTS)) or name == "awb" for name in kept)
    assert not trained & kept


def test_segments_lie_where_the_sound_is() -> None:
    samples, segments = lay_out(random.Random(1), [beep("a b", 1.0), beep("c", 0.5)], 30.0)
    for segment in segments:
        start, end = round(segment.start * 16_000), round(segment.end * 16_000)
        assert np.abs(samples[start + 5 : end - 5]).reshape(-1)[:100].max() > 0.5
        assert np.abs(samples[max(0, start - 100) : start]).max(initial=0) == 0
        assert np.abs(samples[end : end + 100]).max(initial=0) == 0
    assert 0.2 <= segments[1].start - segments[0].end <= 2.0


def test_clips_keep_to_their_longest_length() -> None:
    for seed in range(30):
        samples, segments = lay_out(random.Random(seed), [beep("a", 3.0)] * 4, 8.0)
        assert segments[-1].end <= 8.0
        assert len(samples) / 16_000 <= 8.0 + 0.8


def test_level_and_noise_are_those_of_the_settings() -> None:
    for seed in range(40):
        samples, segments = lay_out(random.Random(seed), [beep("a", 2.0)], 30.0)
        clip = finish(random.Random(seed), samples, segments)
        if clip.settings["noise"] == "none" and clip.settings["sample_rate"] in (16_000, 48_000):
            part = clip.samples[int(segments[0].start * 16_000) + 50 : int(segments[0].end * 16_000) - 50]
            assert 20 * np.log10(np.sqrt((part**2).mean())) == pytest.approx(clip.settings["level_db"], abs=0.3)
        assert np.isfinite(clip.samples).all()
        assert np.abs(clip.samples).max() <= 1.0


def test_empty_clips_have_no_segments() -> None:
    assert all(empty_clip(random.Random(i), 4.0).segments == [] for i in range(20))


def test_answers_are_in_the_format_of_the_prompt() -> None:
    clip = Clip(np.zeros(16_000, np.float32), [Segment(0.123, 0.456, "a b", []), Segment(0.5, 0.9, "c", [])])
    assert segments_answer(clip.segments) == "[0.12]a b[0.46][0.50]c[0.90]"


def test_each_audio_token_is_labelled_with_the_word_spoken_then() -> None:
    clip = Clip(np.zeros(32_000, np.float32), [Segment(0.4, 1.2, "alice bob", [0.4, 0.8])])
    classes = frame_words(clip.segments, 25)
    alice, bob = (1 + vocabulary().index(w) for w in ("alice", "bob"))
    assert classes == [SILENCE] * 5 + [alice] * 5 + [bob] * 5 + [SILENCE] * 10
    unknown = Clip(clip.samples, [Segment(0.4, 1.2, "alice bob", [])])
    assert frame_words(unknown.segments, 25) == [SILENCE] * 5 + [-100] * 10 + [SILENCE] * 10


def test_an_exported_model_loads_through_the_engine(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "vocabulary")
    model = TrainingModel()
    export(model.moss, tmp_path / "vocabulary", tmp_path / "checkpoint")
    engine = load_engine(tmp_path / "checkpoint", device="cpu", dtype="fp32")
    assert engine.model.config == TINY
    assert engine.warnings == ()
    written = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert written.keys() == model.moss.state_dict().keys()
    for name, tensor in model.moss.state_dict().items():
        assert torch.equal(written[name], tensor.to(torch.bfloat16))


def test_the_shipped_vocabulary_is_the_one_that_is_made_and_what_further_domains_add(tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    shipped = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"
    for name in ("added_tokens.json", "processor_config.json"):
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes()
    made, more = (json.loads((folder / "vocab.json").read_text()) for folder in (tmp_path, shipped))
    assert made.items() <= more.items()
    assert (shipped / "merges.txt").read_text().startswith((tmp_path / "merges.txt").read_text())


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few tokens a step, and layers as they are: compiling them takes minutes, and they learn the same."""
    from training.train import STAGES

    short = STAGES["short"]
    monkeypatch.setitem(STAGES, "short", replace(short, mix=replace(short.mix, n_tokens=500)))
    with torch.compiler.set_stance("force_eager"):
        yield


@renderers
@pytest.mark.usefixtures("small_steps")
def test_a_slice_learns_stops_and_goes_on_from_its_state(tmp_path: Path) -> None:
    from training.bank import render_bank
    from training.train import Slice

    render_bank(tmp_path / "bank1", seed=9, count=12)
    write_vocabulary(tmp_path / "run" / "vocabulary")
    first = Slice(tmp_path / "run", "short", 1e-6, tmp_path)
    first.train()
    assert first.step == 1
    again = Slice(tmp_path / "run", "short", 1e-6, tmp_path)
    assert again.seed == first.seed + 1
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)


@renderers
@pytest.mark.usefixtures("small_steps")
def test_new_heads_are_learned_on_a_model_that_stays_as_it_is(tmp_path: Path) -> None:
    from training.bank import render_bank
    from training.train import Slice

    render_bank(tmp_path / "bank1", seed=9, count=12)
    write_vocabulary(tmp_path / "run" / "vocabulary")
    one = Slice(tmp_path / "run", "short", 1e-6, tmp_path)
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    one.learn_heads(2)
    changed = {name for name, tensor in one.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"frame_head.weight", "ctc_head.weight"} <= changed
    assert not any(name.startswith("moss.") for name in changed)
    assert all(p.requires_grad and p.grad is None for p in one.model.parameters())


@renderers
def test_seeds_kept_for_testing_are_refused_by_the_bank(tmp_path: Path) -> None:
    from training.bank import render_bank

    with pytest.raises(ValueError, match="never trained on"):
        render_bank(tmp_path, seed=1_000_000, count=1)


@renderers
def test_what_is_asked_together_is_answered_as_if_it_were_asked_alone(tmp_path: Path) -> None:
    from training.bank import render_bank

    render_bank(tmp_path / "bank1", seed=8, count=8)
    write_vocabulary(tmp_path / "vocabulary")
    batch = next(iter(Batches(tmp_path, tmp_path / "vocabulary", Mix((1, 2), 6.0, 3_000, {"transcribe": 1.0}), seed=1)))
    assert batch.audio_mask.sum() == sum(batch.clip_tokens) == len(batch.frame_words)
    assert sum(len(answers.ids) for answers in batch.answers) > len(batch.ids)
    torch.manual_seed(0)
    model = TrainingModel()
    torch.nn.init.normal_(model.moss.language_model.embed_tokens.weight)
    with torch.no_grad():
        features, taps = model.encode(batch)
        loss, _, _ = model.answer_loss(features, taps, batch)
        alone = [_alone(model, batch, answers, i) for answers in batch.answers for i in range(len(answers.ids))]
    expected = sum(part for part, _ in alone) / sum(weight for _, weight in alone)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_tokens_weigh_what_they_tell(tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    batches = Batches(tmp_path, tmp_path, Mix((1, 1), 5.0, 1_000, {}), seed=1)
    batches.tokenizer = load_tokenizer(tmp_path)

    def weights(text: str, n_given: int = 0) -> list[float]:
        special = batches.tokenizer.special
        pieces = re.split(r"(</?think>)", text)
        return batches._token_weights(
            [i for p in pieces for i in ([special[p]] if p in special else batches.tokenizer.encode(p))], text, n_given
        )

    *thought, letter = weights("asked: sound first\nheard: siren 0.1\nfound: siren\nanswer: siren B\n</think>B")
    assert (thought[0], min(thought), thought[-1], letter) == (1.0, HEARD_WEIGHT, 1.0, LETTER_WEIGHT)
    assert weights("B") == [1.0]
    assert weights('{"answer": "siren"}')[0] == KEY_WEIGHT
    assert HEARD_WEIGHT not in weights('happy 0.1\n</think>{"overall": "happy"}')
    given = "happy 0.1\n</think>"
    *thought, answer = weights(f"{given}B", len(given))
    assert set(thought) == {0.0} and answer == LETTER_WEIGHT


def test_a_thought_that_is_given_is_not_learned(tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    batches = Batches(tmp_path, tmp_path, Mix((1, 1), 5.0, 1_000, {}), seed=1)
    batches.tokenizer, batches.processor = load_tokenizer(tmp_path), load_processor_config(tmp_path)
    given = "<think>\nthe engine is warm\n</think>"
    for think in (None, True):
        row = batches._row(Asked("Sum it up.", f"{given}warm", think, given), count=13, n_first=5, stress=1.0)
        learned = row.targets[row.targets != -100].tolist()
        assert learned == [*batches.tokenizer.encode("warm"), batches.tokenizer.special["<|im_end|>"]]
        assert torch.equal(row.weights > 0, row.targets != -100)


def test_layers_that_are_new_leave_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    small = TrainingModel(replace(TINY, language=replace(TINY.language, num_hidden_layers=4)), labels=("speech/on",))
    large = TrainingModel(labels=("speech/on", "sentences/1"))
    load_known(large, small.state_dict())
    before, after = (model.moss.language_model for model in (small, large))
    x = torch.randn(1, 7, TINY.language.hidden_size)
    nothing = torch.zeros(1, 7, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(before(x, None, [], nothing), after(x, None, [], nothing))
    assert torch.equal(small.track_head.weight, large.track_head.weight[:1])
    assert large.is_state.tolist() == [False, True]


def test_what_was_counted_holds_until_the_next() -> None:
    assert counted("sounds", [], 9.0) == []
    assert counted("sounds", [1.0, 4.0], 9.0) == [Track(1.0, 4.0, "sounds/1"), Track(4.0, 9.0, "sounds/2")]
    assert counted("sounds", range(9), 9.0)[-1] == Track(5, 9.0, f"sounds/{MOST_COUNTED}")


def _alone(model: TrainingModel, batch: Batch, answers: Answers, i: int) -> tuple[float, float]:
    """The weighted loss of one answer, and its weight, as the engine's own decoder gives it in one sequence."""
    moss, clip = model.moss, int(answers.clip[i])
    features, taps = model.encode(batch)
    mine = slice(sum(batch.clip_tokens[:clip]), sum(batch.clip_tokens[: clip + 1]))
    n_first = int(batch.lengths[clip])
    ids = torch.cat([batch.ids[clip, :n_first], answers.ids[i]])[None]
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[0, :n_first] = batch.audio_mask[clip, :n_first]
    x = moss.language_model.embed_tokens(ids).clone()
    x[mask] = moss.audio_adapter(features[mine])
    deepstack = [m(t[mine]) for m, t in zip(moss.deepstack_audio_merger_list, taps, strict=True)]
    logits = moss.lm_head(moss.language_model(x, None, deepstack, mask))[0, n_first:]
    counted = answers.targets[i] >= 0
    each = torch.nn.functional.cross_entropy(logits[counted], answers.targets[i][counted], reduction="none")
    weights = answers.weights[i][counted]
    return float((each * weights).sum()), float(weights.sum())


def _take_part(rank: int, folder: str) -> None:
    """One of two processes: its gradient is 1 or 3, and only the second has one for the bias."""
    from training.train import Team

    team = Team(2, rank)
    team.join(Path(folder) / "meeting")
    model = torch.nn.Linear(2, 1)
    model.weight.grad = torch.full((1, 2), 1.0 + 2 * rank)
    model.bias.grad = torch.full((1,), 4.0) if rank else None
    team.average_gradients(model)
    torch.save((model.weight.grad, model.bias.grad, team.agreed(0.25 + rank)), Path(folder) / f"{rank}.pt")
    team.leave()


def test_processes_that_train_together_take_the_mean_of_their_gradients_and_the_first_ones_progress(
    tmp_path: Path,
) -> None:
    torch.multiprocessing.spawn(_take_part, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        weight, bias, progress = torch.load(tmp_path / f"{rank}.pt")
        assert (weight.tolist(), bias.tolist(), progress) == ([[2.0, 2.0]], [2.0], 0.25)
