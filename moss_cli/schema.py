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

    path: str = Field(description="As it was named; what is no UTF-8 in it is escaped.")
    path_bytes: str | None = Field(default=None, description="A path that is not UTF-8, whole, in base64. Else absent.")
    duration: Seconds | None = Field(default=None, description="Length of the whole recording.")
    sample_rate: int | None = Field(default=None, description="In Hz, of the file.")
    channels: int | None = Field(default=None, description="Of the file.")
    sha256: str | None = Field(default=None, description="Of the file, in hexadecimal.")

    @model_serializer(mode="wrap")
    def _leave_out_path_bytes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "path_bytes" or value is not None}


class ModelInfo(Record):
    """Which weights answered, and how they were held."""

    name: str = Field(description="As in `moss models list`, or the folder.")
    revision: str | None = Field(default=None, description="Commit on the hub, where it is known.")
    dtype: str = Field(description="Precision of the weights: fp32, fp16, bf16, nf4 or int4.")
    device: str = Field(description="Where it ran: cpu, cuda:0, mps.")
    demo: bool = Field(default=False, description="Whether it is only a demonstration model.")


class EarlierTurn(Record):
    """A question that was asked before, and its answer."""

    question: str = Field(description="What was asked.")
    answer: str = Field(description="What the model answered.")


class Params(Record):
    """Every option that can change the answer. `max_new_tokens` null: as long as the audio may need."""

    prompt: str = Field(description="The instruction that the model was given.")
    temperature: float = Field(description="`--temperature`")
    top_p: float = Field(description="`--top-p`")
    top_k: int = Field(description="`--top-k`")
    seed: int = Field(description="`--seed`")
    max_new_tokens: int | None = Field(
        default=None, description="`--max-new-tokens`; null: as many as the audio may need."
    )
    chunk: float = Field(description="Longest piece given to the model at once, in seconds.")
    start: Seconds | None = Field(default=None, description="`--start`")
    end: Seconds | None = Field(default=None, description="`--end`")
    time_markers: bool = Field(default=True, description="Whether elapsed-time markers were inserted.")
    timestamps: Literal["segment", "word", "none"] | None = Field(default=None, description="`--timestamps`")
    speakers: bool | None = Field(default=None, description="`--speakers`")
    language: str | None = Field(default=None, description="`--language`")
    vad: bool | None = Field(default=None, description="`--vad`; null for tasks that need no speech.")
    think: bool | None = Field(default=None, description="`--think`; null: up to the model.")
    thinking_budget: int | None = Field(default=None, description="`--thinking-budget`, in tokens.")
    question: str | None = Field(default=None, description="The question of `ask`.")
    choices: tuple[str, ...] | None = Field(default=None, description="The `--choice` answers of `ask`.")
    style: Literal["brief", "bullets", "meeting", "chapters"] | None = Field(
        default=None, description="`--style` of `summarize`."
    )
    context: str | None = Field(default=None, description="`--context`: the text, whether it was typed or read.")
    turns: tuple[EarlierTurn, ...] | None = Field(
        default=None, description="Earlier questions about the recording that `ask --continue` went on from."
    )
    channel: int | Literal["mix", "each"] = Field(
        default="mix", description="`--channel`: a number from 1, `mix`, or `each` for a speaker a channel."
    )
    track: int | None = Field(default=None, description="`--track`, from 1; null: the container's default one.")


class ChunkInfo(Record):
    """One piece given to the model. `no_speech` marks a range that was skipped. `channel`: which one it is of, where
    each is heard by itself; else it is left out."""

    start: Seconds
    end: Seconds
    finish_reason: Literal["stop", "length", "loop", "no_speech"] = Field(
        description="How the answer ended: by itself, at its maximum length, in a loop; or that it was skipped."
    )
    attempts: int = Field(default=1, description="How often the model was asked.")
    channel: str | None = Field(
        default=None, description="Which channel it is of, where each was heard by itself; else it is left out."
    )

    @model_serializer(mode="wrap")
    def _leave_out_channel(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "channel" or value is not None}


class Notice(Record):
    """Something the reader of a result should know, with the range it is about, if any."""

    code: str = Field(description="What it is, for scripts.")
    message: str = Field(description="What it is, for people.")
    start: Seconds | None = Field(default=None, description="Where it begins, if it is about a range.")
    end: Seconds | None = Field(default=None, description="Where it ends.")


class ErrorInfo(Record):
    """Why an input has no result."""

    code: str = Field(description="What it is, for scripts.")
    message: str = Field(description="What it is, for people.")


class Usage(Record):
    """What the answer cost."""

    audio_seconds: Seconds = Field(description="Audio analysed.")
    prompt_tokens: int = Field(description="Tokens read by the model, audio included.")
    generated_tokens: int = Field(description="Tokens written by the model.")
    load_seconds: Seconds = Field(description="Time to load the model, which several inputs share.")
    seconds: Seconds = Field(description="Time for this input.")


R_co = TypeVar("R_co", bound=Record, covariant=True, default=Record)


class Envelope(Record, Generic[R_co]):
    """One per input, the same for every task. `input` is null for a question without audio."""

    # Made of any task's result; to read one back, `Envelope[Scene]` or `output.json_schema.envelope_type("scene")`.

    schema_version: Literal["1"] = Field(
        default=SCHEMA_VERSION, description="Changes if something is gone, or means something else."
    )
    moss: str = Field(description="Version of moss.")
    task: str
    status: Literal["ok", "partial", "error"] = Field(
        description="`partial`: something is missing, and `warnings` say what. `error`: there is no result."
    )
    input: InputInfo | None
    model: ModelInfo
    params: Params
    result: SerializeAsAny[R_co] | None = None
    text: str | None = Field(default=None, description="The answer as plain text.")
    thinking: str | None = Field(default=None, description="What the model thought before it answered.")
    chunks: tuple[ChunkInfo, ...] = ()
    warnings: tuple[Notice, ...] = ()
    usage: Usage | None = None
    error: ErrorInfo | None = None

    @model_serializer(mode="wrap")
    def _no_error_no_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out = "result" if self.status == "error" else "error"
        return {key: value for key, value in handler(self).items() if key != left_out}
