"""The result types and the envelope that carries them: the JSON that users build on.

Times are seconds from the start of the file, rounded to milliseconds. Every model is frozen and
forbids keys that it does not name. Import this module only where results are made: pydantic
takes a tenth of a second to load.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

SCHEMA_VERSION: Final = "1"

Seconds = Annotated[float, AfterValidator(lambda t: round(t, 3)), Field(ge=0, allow_inf_nan=False)]


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
    """One per input, the same for every task."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    moss: str
    task: Literal["transcribe"]
    status: Literal["ok", "partial", "error"]
    input: InputInfo
    model: ModelInfo
    params: Params
    result: Transcription | None = None
    text: str | None = None
    thinking: str | None = None
    chunks: tuple[ChunkInfo, ...] = ()
    warnings: tuple[Notice, ...] = ()
    usage: Usage | None = None
    error: ErrorInfo | None = None

    @model_serializer(mode="wrap")
    def _no_error_no_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out = "result" if self.status == "error" else "error"
        return {key: value for key, value in handler(self).items() if key != left_out}
