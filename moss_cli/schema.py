"""The envelope that carries every result: the JSON that users build on.

What a task's result holds is declared beside the task. Times are seconds from the start of the file, rounded to
milliseconds. Every model is frozen and forbids keys that it does not name. Import this module only where results are
made: pydantic takes a tenth of a second to load.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from typing_extensions import TypeVar  # the one with defaults, which Python has from 3.13 on

SCHEMA_VERSION: Final = "1"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(lambda t: round(t, 3))]


class Record(BaseModel):
    """What results and their envelope are made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputInfo(Record):
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


class ModelInfo(Record):
    """Which weights answered, and how they were held."""

    name: str
    revision: str | None = None
    dtype: str
    device: str
    demo: bool = False


class EarlierTurn(Record):
    """A question that was asked before, and its answer."""

    question: str
    answer: str


class Params(Record):
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
    context: str | None = None
    turns: tuple[EarlierTurn, ...] | None = None
    channel: int | Literal["mix", "each"] = "mix"
    track: int | None = None


class ChunkInfo(Record):
    """One piece given to the model. `no_speech` marks a range that was skipped. `channel`: which one it is of, where
    each is heard by itself; else it is left out."""

    start: Seconds
    end: Seconds
    finish_reason: Literal["stop", "length", "loop", "no_speech"]
    attempts: int = 1
    channel: str | None = None

    @model_serializer(mode="wrap")
    def _leave_out_channel(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "channel" or value is not None}


class Notice(Record):
    """Something the reader of a result should know, with the range it is about, if any."""

    code: str
    message: str
    start: Seconds | None = None
    end: Seconds | None = None


class ErrorInfo(Record):
    """Why an input has no result."""

    code: str
    message: str


class Usage(Record):
    """What the answer cost."""

    audio_seconds: Seconds
    prompt_tokens: int
    generated_tokens: int
    load_seconds: Seconds
    seconds: Seconds


R_co = TypeVar("R_co", bound=Record, covariant=True, default=Record)


class Envelope(Record, Generic[R_co]):
    """One per input, the same for every task. `input` is null for a question without audio."""

    # Made of any task's result; to read one back, `Envelope[Scene]` or `output.json_schema.envelope_type("scene")`.

    schema_version: Literal["1"] = SCHEMA_VERSION
    moss: str
    task: str
    status: Literal["ok", "partial", "error"]
    input: InputInfo | None
    model: ModelInfo
    params: Params
    result: SerializeAsAny[R_co] | None = None
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
