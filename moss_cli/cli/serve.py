"""`moss serve`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moss_cli.cli.help import MESSAGES, MODEL, SERVER
from moss_cli.cli.option import DeviceOption, DtypeOption, ModelOption, option
from moss_cli.errors import MossError, UsageError

if TYPE_CHECKING:
    from moss_cli.cli.console import Console
    from moss_cli.models.registry import Resolved
    from moss_cli.serve.address import Address
    from moss_cli.serve.config import ServeConfig

EXAMPLES = (
    "moss serve --model tiny",
    "moss serve --detach && MOSS_MODEL=http://127.0.0.1:8642/v1 moss transcribe talk.mp3",
    "moss serve --socket ~/.moss.sock --keep-alive 10m",
    "moss serve --status",
)
HOST_HELP = "Address to listen on. All but this machine's own need a token."
TOKEN_HELP = "Ask clients for the token in this file. [default: what MOSS_SERVER_TOKEN says, if it is set]"
ALLOW_HELP = "Take requests that name this host, too, as a reverse proxy passes them on; repeatable."
KEEP_HELP = "Drop the weights from memory after this time without a request, as in 10m. [default: keep them]"
QUEUE_HELP = "Requests in work or waiting; more get status 429."
UPLOAD_HELP = "Longest file to transcribe: 500MB, 2GB."
TIMEOUT_HELP = "Time for a request, its waiting included."
DETACH_HELP = "Run in the background: print the URL once it can be used, and return."


def serve(
    context: typer.Context,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    batch_size: Annotated[
        str, option("--batch-size", panel=MODEL, help="Number of answers decoded together.", metavar="auto|N")
    ] = "auto",
    keep_alive: Annotated[str | None, option("--keep-alive", panel=MODEL, help=KEEP_HELP, metavar="TIME")] = None,
    host: Annotated[str, option("--host", panel=SERVER, help=HOST_HELP, metavar="HOST")] = "127.0.0.1",
    port: Annotated[
        int, option("--port", panel=SERVER, help="Port to listen on; 0 takes any.", min=0, max=65535, metavar="N")
    ] = 8642,
    socket: Annotated[
        str | None,
        option("--socket", panel=SERVER, help="Listen on a Unix socket instead, for this user alone.", metavar="PATH"),
    ] = None,
    token_file: Annotated[str | None, option("--token-file", panel=SERVER, help=TOKEN_HELP, metavar="FILE")] = None,
    allow_host: Annotated[
        list[str] | None, option("--allow-host", panel=SERVER, help=ALLOW_HELP, metavar="NAME")
    ] = None,
    max_requests: Annotated[int, option("--max-requests", panel=SERVER, help=QUEUE_HELP, min=1, metavar="N")] = 256,
    max_upload: Annotated[str, option("--max-upload", panel=SERVER, help=UPLOAD_HELP, metavar="SIZE")] = "1GB",
    max_duration: Annotated[
        str, option("--max-duration", panel=SERVER, help="Refuse recordings longer than this.", metavar="TIME")
    ] = "24h",
    timeout: Annotated[str, option("--timeout", panel=SERVER, help=TIMEOUT_HELP, metavar="TIME")] = "1h",
    detach: Annotated[bool, option("--detach", panel=SERVER, help=DETACH_HELP)] = False,
    status: Annotated[
        bool, typer.Option("--status", rich_help_panel=SERVER, help="List the servers that run.")
    ] = False,
    stop: Annotated[
        bool,
        typer.Option("--stop", rich_help_panel=SERVER, help="Stop the server that runs here or at --port or --socket."),
    ] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=MESSAGES, help="Print errors only.")] = False,
    verbose: Annotated[bool, option("--verbose", "-v", panel=MESSAGES, help="Print a line for each request.")] = False,
    debug: Annotated[bool, option("--debug", panel=MESSAGES, help="Show tracebacks.")] = False,
) -> int:
    """Serve a model to other programs.

    The model stays loaded and answers over the OpenAI-compatible API: chat completions with audio, and transcriptions.
    Requests of many clients are answered together. Only this machine can reach it, unless --host says otherwise.
    """
    console: Console = context.obj
    console.quiet, console.verbose, console.debug = quiet, verbose, debug
    address = _address(host, port, socket)
    if status or stop:
        from moss_cli.cli.servers import show_servers, stop_server

        return show_servers() if status else stop_server(console, address if _names_address(context) else None)
    from moss_cli.serve.detached import is_detached

    if detach and not is_detached():
        return _detach(console, address)
    _check_installed()
    from moss_cli.api.job import make_job
    from moss_cli.api.options import JobOptions, as_flag
    from moss_cli.cli.serve_values import bytes_of, hosts_of, seconds_of, time_of, token_of
    from moss_cli.serve.config import Limits, ServeConfig
    from moss_cli.tasks.transcribe import Transcribe

    options = JobOptions(device=device, dtype=dtype, batch_size=batch_size, max_duration=max_duration)
    limits = Limits(
        max_upload_bytes=bytes_of("--max-upload", max_upload),
        max_requests=max_requests,
        timeout_s=seconds_of("--timeout", timeout),
    )
    config = ServeConfig(
        job=make_job(Transcribe(), _model_here(model, console), options, named=as_flag),
        token=token_of(token_file, address),
        hosts=hosts_of(address, allow_host or []),
        keep_alive_s=None if keep_alive is None else time_of("--keep-alive", keep_alive),
        limits=limits,
    )
    return _serve(console, config, address)


def _address(host: str, port: int, socket: str | None) -> Address:
    from pathlib import Path

    from moss_cli.serve.address import Address

    return Address(host, port, None if socket is None else Path(socket).expanduser())


def _names_address(context: typer.Context) -> bool:
    """Whether the command line says which server is meant."""
    sources = [context.get_parameter_source(name) for name in ("host", "port", "socket")]
    return any(source is not None and source.name == "COMMANDLINE" for source in sources)


def _model_here(name: str | None, console: Console) -> Resolved:
    """The model to serve. Raises UsageError for one on another server."""
    from moss_cli.cli.analyse import chosen_model
    from moss_cli.models.address import is_server

    # MOSS_MODEL may name the very server that is to be started, so it is not asked.
    chosen = None if name is not None and is_server(name) else chosen_model(name, console)
    if chosen is None or chosen.served is not None:
        hint = "choose one, for example `moss serve --model tiny`"
        raise UsageError("the model that is set is on a server; moss serve needs one on this machine", hint=hint)
    return chosen


def _detach(console: Console, address: Address) -> int:
    from moss_cli.serve.detached import log_of, start

    words = [word for word in console.typed.words if word != "--detach"]
    started = start(words, log_of(address))
    if started.url is None:
        for line in started.said:
            console.stream.write(f"{line}\n")
        return started.code or 1
    typer.echo(started.url)
    console.note(f"runs in the background; its messages are in {log_of(address)}; `moss serve --stop` ends it")
    return 0


def _check_installed() -> None:
    """Raise MossError where the extra is missing."""
    from importlib.util import find_spec

    wanted = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
    missing = [package for module, package in wanted.items() if find_spec(module) is None]
    if missing:
        from moss_cli.doctor.check import install

        what = f"moss serve needs packages that are not installed: {', '.join(missing)}"
        raise MossError(what, hint=f"run `{install(*missing)}`")


def _serve(console: Console, config: ServeConfig, address: Address) -> int:
    """Serve until a signal ends it."""
    from dataclasses import replace

    from moss_cli.api.job import DEMO_NOTE
    from moss_cli.cli.server_log import logging_to_stderr
    from moss_cli.serve.address import listening
    from moss_cli.serve.detached import is_detached, log_of, tell_ready
    from moss_cli.serve.running import announced

    made = listening(address)
    if config.model.entry.demo:
        console.note(DEMO_NOTE.format(name=config.model.entry.name))
    try:
        if address.path is None:
            address = replace(address, port=made.getsockname()[1])
        log = log_of(address) if is_detached() else None
        speaks = logging_to_stderr(verbose=console.verbose, debug=console.debug)
        with announced(address, config.model.entry.name, log), speaks:
            from moss_cli.backends.opening import open_backend
            from moss_cli.serve.server import serve

            def on_ready(server: object) -> None:
                tell_ready(address.url)
                console.note(f"serving {config.model.entry.name} at {address.url}")

            signal = serve(config, made, on_ready, console.open_backend or open_backend)
    finally:
        made.close()
        if address.path is not None:
            address.path.unlink(missing_ok=True)
    return 0 if signal is None else 128 + signal
