"""The result types and the envelope that carries them: the JSON that users build on.

Times are seconds from the start of the file, rounded to milliseconds. Every model is frozen and
forbids keys that it does not name. Import this module only where results are made: pydantic
takes a tenth of a second to load.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

SCHEMA_VERSION: Final = "1"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(lambda t: round(t, 3))]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Word(_Model):
    """One word and when it is said."""

    start: Seconds
    end: Seconds
    word: str


class Segment(_Model):
    """A sentence, usually. `speaker` and `words` are absent from the JSON where unknown."""

    start: Seconds
    end: Seconds
    text: str
    speaker: str | None = None
    words: tuple[Word, ...] | None = None

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Transcription(_Model):
    """Result of `transcribe`."""

    language: str | None = None
    segments: tuple[Segment, ...] = ()


class SpeakerDescription(_Model):
    """Result of `describe-speaker`, in the model's words."""

    gender: str | None = None
    age: str | None = None
    accent: str | None = None
    pitch: str | None = None
    volume: str | None = None
    speed: str | None = None
    texture: str | None = None
    clarity: str | None = None
    fluency: str | None = None
    emotion: str | None = None
    tone: str | None = None
    personality: str | None = None
    summary: str | None = None


class EmotionSegment(_Model):
    """A stretch with one emotion, and what shows it."""

    start: Seconds
    end: Seconds
    emotion: str
    cue: str | None = None


class Emotion(_Model):
    """Result of `emotion`."""

    overall: str | None = None
    evidence: str | None = None
    segments: tuple[EmotionSegment, ...] = ()


class Labelled(_Model):
    """Something that lasts from `start` to `end`: a sound event, a section of music."""

    start: Seconds
    end: Seconds
    label: str


class Scene(_Model):
    """Result of `scene`."""

    setting: str | None = None
    atmosphere: str | None = None
    summary: str | None = None
    events: tuple[Labelled, ...] = ()


class Music(_Model):
    """Result of `music`."""

    style: str | None = None
    tempo_bpm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    key: str | None = None
    instruments: tuple[str, ...] = ()
    mood: str | None = None
    summary: str | None = None
    sections: tuple[Labelled, ...] = ()


class Evidence(_Model):
    """Where in the file an answer comes from."""

    start: Seconds
    end: Seconds
    text: str


class Answer(_Model):
    """Result of `ask`."""

    answer: str | None = None
    evidence: tuple[Evidence, ...] = ()


class Chapter(_Model):
    """A part of a recording."""

    start: Seconds
    end: Seconds
    title: str
    summary: str | None = None


class Summary(_Model):
    """Result of `summarize`."""

    summary: str | None = None
    key_points: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()


Result = Transcription | SpeakerDescription | Emotion | Scene | Music | Answer | Summary
TaskName = Literal["transcribe", "describe-speaker", "emotion", "scene", "music", "ask", "summarize"]
RESULT_TYPES: dict[str, type[BaseModel]] = {
    "transcribe": Transcription,
    "describe-speaker": SpeakerDescription,
    "emotion": Emotion,
    "scene": Scene,
    "music": Music,
    "ask": Answer,
    "summarize": Summary,
}


class InputInfo(_Model):
    """What was analysed. Of an input that could not be read, only the path is known.

    A path that is not UTF-8 is escaped in `path` and given whole, in base64, in `path_bytes`.
    """

    path: str
    path_bytes: str | None = None
    duration: Seconds | None = None
    sample_rate: int | None = None
    channels: int | None = None
    sha256: str | None = None

    @model_serializer(mode="wrap")
    def _leave_out_path_bytes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "path_bytes" or value is not None}


class ModelInfo(_Model):
    """Which weights answered, and how they were held."""

    name: str
    revision: str | None = None
    dtype: str
    device: str
    demo: bool = False


class Params(_Model):
    """Every option that can change the answer. `max_new_tokens` null: as long as the audio may need."""

    prompt: str
    temperature: float
    top_p: float
    top_k: int
    seed: int
    max_new_tokens: int | None = None
    chunk: float
    start: Seconds | None = None
    end: Seconds | None = None
    time_markers: bool = True
    timestamps: Literal["segment", "word", "none"] | None = None
    speakers: bool | None = None
    language: str | None = None
    vad: bool | None = None
    think: bool | None = None
    thinking_budget: int | None = None
    question: str | None = None
    choices: tuple[str, ...] | None = None
    style: Literal["brief", "bullets", "meeting", "chapters"] | None = None


class ChunkInfo(_Model):
    """One piece given to the model. `no_speech` marks a range that was skipped."""

    start: Seconds
    end: Seconds
    finish_reason: Literal["stop", "length", "loop", "no_speech"]
    attempts: int = 1


class Notice(_Model):
    """Something the reader of a result should know, with the range it is about, if any."""

    code: str
    message: str
    start: Seconds | None = None
    end: Seconds | None = None


class ErrorInfo(_Model):
    """Why an input has no result."""

    code: str
    message: str


class Usage(_Model):
    """What the answer cost."""

    audio_seconds: Seconds
    prompt_tokens: int
    generated_tokens: int
    load_seconds: Seconds
    seconds: Seconds


class Envelope(_Model):
    """One per input, the same for every task. `input` is null for a question without audio."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    moss: str
    task: TaskName
    status: Literal["ok", "partial", "error"]
    input: InputInfo | None
    model: ModelInfo
    params: Params
    result: Result | None = None
    text: str | None = None
    thinking: str | None = None
    chunks: tuple[ChunkInfo, ...] = ()
    warnings: tuple[Notice, ...] = ()
    usage: Usage | None = None
    error: ErrorInfo | None = None

    @model_validator(mode="before")
    @classmethod
    def _result_of_the_task(cls, values: Any) -> Any:
        """Read a result as its task's type: by their keys alone, empty results are alike."""
        if isinstance(values, dict) and isinstance(values.get("result"), dict) and values.get("task") in RESULT_TYPES:
            return values | {"result": RESULT_TYPES[values["task"]].model_validate(values["result"])}
        return values

    @model_serializer(mode="wrap")
    def _no_error_no_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out = "result" if self.status == "error" else "error"
        return {key: value for key, value in handler(self).items() if key != left_out}


def json_schema(task: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a task's envelope, as `moss schema TASK` prints it."""
    schema = Envelope.model_json_schema()
    properties = schema["properties"]
    properties["task"] = {"const": task}
    properties["result"] = {"$ref": f"#/$defs/{RESULT_TYPES[task].__name__}"}
    always = [name for name in properties if name not in ("result", "error")]
    failed = {"required": ["error"], "properties": {"result": False}}
    answered = {"required": ["result"], "properties": {"error": False}}
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"moss {task}",
        "required": always,
        "if": {"properties": {"status": {"const": "error"}}},
        "then": failed,
        "else": answered,
    }
    used = _definitions(properties, schema["$defs"])
    schema["$defs"] = {name: value for name, value in schema["$defs"].items() if name in used}
    return schema


def _definitions(part: Any, definitions: dict[str, Any], seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """Names of the definitions that a part of a schema needs, directly or through others."""
    if isinstance(part, dict):
        name = str(part.get("$ref", "")).removeprefix("#/$defs/")
        if name in definitions and name not in seen:
            seen = _definitions(definitions[name], definitions, seen | {name})
        for value in part.values():
            seen = _definitions(value, definitions, seen)
    elif isinstance(part, list):
        for value in part:
            seen = _definitions(value, definitions, seen)
    return seen
