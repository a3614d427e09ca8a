"""`POST /v1/audio/transcriptions`"""

from __future__ import annotations

from typing import Any

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from moss_cli.answers import Cost
from moss_cli.output.render import render
from moss_cli.run.job import Outcome
from moss_cli.schema import Envelope
from moss_cli.serve.bodies import blocks, check_kind, check_length
from moss_cli.serve.desk import Desk
from moss_cli.serve.refusals import bad_request, refusal_of
from moss_cli.serve.spool import path_of
from moss_cli.serve.transcription_form import TranscriptionQuestion, read_form
from moss_cli.serve.waiting import unless_gone
from moss_cli.tasks.transcribe import Transcription

MOST_FIELDS = 64  # of a form; chosen
MOST_FIELD_BYTES = 1 << 20
_AS_TEXT = {"text": "txt", "srt": "srt", "vtt": "vtt"}


async def transcriptions(http: HttpRequest, desk: Desk) -> Response:
    """Transcribe a file, of any length. Raises Refusal, ClientGone."""
    limits = desk.config.limits
    check_kind(http.headers, "multipart/form-data")
    check_length(http.headers, limits.max_upload_bytes)
    stream = blocks(http, limits.max_upload_bytes, limits.stall_s)
    parser = MultiPartParser(http.headers, stream, max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise bad_request(error.message, code="invalid_multipart") from error
    try:
        question = read_form(form, desk.config)
        outcome = await unless_gone(_outcome(question, desk), http.receive, limits.timeout_s)
        return _response(question, outcome, desk)
    finally:
        await form.close()


async def _outcome(question: TranscriptionQuestion, desk: Desk) -> Outcome:
    """What comes of the file."""
    file: Any = question.file
    await desk.read(file.rollover)
    file.seek(0)
    outcome = await desk.runs.outcome(question.job, file)
    if outcome.error is not None:
        raise refusal_of(outcome.error, hides=str(path_of(file)), name=question.name, param="file")
    return outcome


def _response(question: TranscriptionQuestion, outcome: Outcome, desk: Desk) -> Response:
    envelope, hidden = outcome.envelope, outcome.input.shown
    usage = envelope.usage
    assert usage is not None
    desk.metrics.answered(Cost(usage.prompt_tokens, usage.generated_tokens), usage.audio_seconds)
    headers = {"moss-status": envelope.status}  # text has no other place to say that something is missing
    if question.response_format in _AS_TEXT:
        return PlainTextResponse(render(envelope, _AS_TEXT[question.response_format]), headers=headers)
    warnings = [
        notice.model_dump() | {"message": notice.message.replace(hidden, question.name)} for notice in envelope.warnings
    ]
    told: dict[str, Any] = {"text": envelope.text, "status": envelope.status, "warnings": warnings}
    if question.response_format == "verbose_json":
        told |= _verbose(envelope, question)
    told["usage"] = {"type": "duration", "seconds": usage.audio_seconds}
    return JSONResponse(told, headers=headers)


def _verbose(envelope: Envelope, question: TranscriptionQuestion) -> dict[str, Any]:
    """What verbose_json has beside the text. Whisper's figures on its own decoding have nothing here that they could
    stand for, and are left out."""
    result = envelope.result
    assert isinstance(result, Transcription) and envelope.input is not None
    told: dict[str, Any] = {
        "task": "transcribe",
        "language": result.language,
        "duration": envelope.input.duration,
        "segments": [
            {"id": number, "start": segment.start, "end": segment.end, "text": segment.text}
            for number, segment in enumerate(result.segments)
        ],
    }
    if "word" in question.granularities:
        told["words"] = [word.model_dump() for segment in result.segments for word in segment.words or ()]
        if "segment" not in question.granularities:
            del told["segments"]
    return told
