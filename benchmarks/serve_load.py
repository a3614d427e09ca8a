"""`moss serve` under load: many clients, clips of 5 s, a third of them given up or cut off half-way.

    python benchmarks/serve_load.py [--clients 64] [--requests 2000] [--clips 24] [--alone 40]

Starts `moss serve -m tiny` and asks it for transcripts over the chat API, as `moss transcribe` words it. First one
client at a time: these answers are the right ones, and their rate is what the load's is compared with. Then all
clients at once without giving anything up, for the throughput; then all requests, of which every third is cut: while
its body is sent, while it waits, or in the middle of a stream. Every answer is compared with the right one. At the end
no slot may be busy and nothing may wait. Memory is the server's, after each hundred requests.

The client takes CPU as well: on two cores the figures are those of server and client together. The milliseconds of
CPU are the server's alone, and tell something on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
SENTENCES = sorted((ROOT / "tests/fixtures/speech").glob("*/transcribe-*.flac"))
SECONDS = 5.0
STRIDE_S = 3.7  # from the start of one clip to that of the next, so that no two are alike
CUTS = ("sending", "waiting", "streaming")
GRAMMAR = (
    "start: SEGMENTS?\n"
    r"SEGMENTS: /(\[[0-9]{1,5}\.[0-9]{2}\]([^\[\]]|\[[^\]\[0-9][^\]\[]*\])+\[[0-9]{1,5}\.[0-9]{2}\])+/"
)


def clips(n_clips: int) -> list[bytes]:
    """Different 5 s of speech, as WAV."""
    read = [soundfile.read(path, dtype="float32") for path in SENTENCES]
    rate = read[0][1]
    speech = np.concatenate([samples for samples, _ in read])
    made = []
    for i in range(n_clips):
        begin = round(i * STRIDE_S * rate) % (len(speech) - round(SECONDS * rate))
        file = io.BytesIO()
        soundfile.write(file, speech[begin : begin + round(SECONDS * rate)], rate, format="WAV")
        made.append(file.getvalue())
    return made


def body(clip: bytes, *, stream: bool) -> bytes:
    """A request as bytes, headers included."""
    prompt = (
        "Transcribe the audio into sentence-level timestamps using the format [xx.xx]text[yy.yy], where xx.xx and "
        "yy.yy are millisecond-precision timestamps rounded to two decimal places. Concatenate consecutive segments "
        "without breaks, for example [0.00]hello there[2.01][2.01]the weather is nice today[4.32]. Exclude any "
        "additional content such as explanations, headings, or annotations."
    )
    audio = {"type": "input_audio", "input_audio": {"data": base64.b64encode(clip).decode(), "format": "wav"}}
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": [audio, {"type": "text", "text": prompt}]}],
        "structured_outputs": {"grammar": GRAMMAR},
        "chat_template_kwargs": {"may_think": False},
        "stream": stream,
    }
    content = json.dumps(asked).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


@dataclass
class Tally:
    """What came of the requests."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    cut: int = 0
    seconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)


class Client:
    """Asks one server. `answers`: the right one for each clip."""

    def __init__(self, port: int, made: list[bytes]) -> None:
        self.port = port
        self.whole = [body(clip, stream=False) for clip in made]
        self.streamed = [body(clip, stream=True) for clip in made]
        self.answers: list[str] = []

    async def ask(self, clip: int, cut: str | None = None) -> str | None:
        """The answer about a clip; None where it was cut."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent = (self.streamed if cut == "streaming" else self.whole)[clip]
        try:
            if cut == "sending":
                writer.write(sent[: random.randrange(1, len(sent))])
                await writer.drain()
                return None
            writer.write(sent)
            await writer.drain()
            if cut == "waiting":
                await asyncio.sleep(random.uniform(0, 2))
                return None
            if cut == "streaming":
                for _ in range(random.randrange(1, 12)):
                    await reader.readline()
                return None
            answer = await reader.read()
        finally:
            writer.transport.abort() if cut else writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            return f"{head[:30]!r} {content[:200]!r}"
        text: str = json.loads(content)["choices"][0]["message"]["content"]
        return text

    async def alone(self, n_requests: int) -> float:
        """Requests a second, one after another; keeps the answers as the right ones."""
        self.answers = [await self.ask(clip) or "" for clip in range(len(self.whole))]
        started = time.monotonic()
        for i in range(n_requests):
            assert await self.ask(i % len(self.whole)) == self.answers[i % len(self.whole)]
        return n_requests / (time.monotonic() - started)

    async def together(self, n_clients: int, n_requests: int, *, cuts: bool, pid: int) -> tuple[float, Tally]:
        """Requests a second with all clients at once, and what came of them."""
        tally, numbers = Tally(), iter(range(n_requests))

        async def work() -> None:
            for i in numbers:
                clip, cut = i % len(self.whole), random.choice(CUTS) if cuts and i % 3 == 2 else None
                began = time.monotonic()
                answer = await self.ask(clip, cut)
                if cut:
                    tally.cut += 1
                elif answer == self.answers[clip]:
                    tally.right += 1
                    tally.seconds.append(time.monotonic() - began)
                else:
                    tally.wrong.append(f"clip {clip}: {answer!r}")
                if i % 100 == 99:
                    tally.resident.append(resident(pid))

        started = time.monotonic()
        await asyncio.gather(*(work() for _ in range(n_clients)))
        return n_requests / (time.monotonic() - started), tally

    async def get(self, path: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.decode()


def resident(pid: int) -> int:
    """Memory of a process, in bytes (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(client: Client, pid: int, options: argparse.Namespace) -> int:
    await client.alone(0)
    began_s = cpu_s(pid)
    alone = await client.alone(options.alone)
    used = (cpu_s(pid) - began_s) / (options.alone + len(client.whole))
    print(f"one client at a time: {alone:.2f} requests/s, {1000 * used:.0f} ms of CPU each", flush=True)
    began_s = cpu_s(pid)
    rate, tally = await client.together(options.clients, options.even, cuts=False, pid=pid)
    used = (cpu_s(pid) - began_s) / options.even
    print(f"{options.clients} clients at once: {rate:.2f} requests/s, {1000 * used:.0f} ms of CPU each")
    print(f"  that is {rate / alone:.2f} times as many requests; {len(tally.wrong)} wrong", flush=True)
    n_wrong = len(tally.wrong)
    rate, tally = await client.together(options.clients, options.requests, cuts=True, pid=pid)
    n_wrong += len(tally.wrong)
    times = statistics.quantiles(tally.seconds, n=20)
    print(
        f"with every third cut: {rate:.2f} requests/s; {tally.right} right, {len(tally.wrong)} wrong, {tally.cut} cut; "
        f"median {statistics.median(tally.seconds):.2f} s, p95 {times[-1]:.2f} s"
    )
    print("resident, MB:", *(round(n / 1e6) for n in tally.resident))
    for line in tally.wrong[:5]:
        print(line)
    await asyncio.sleep(3)
    metrics = await client.get("/metrics")
    left = dict(re.findall(r"^moss_(slots_busy|queue|requests_open) (\S+)$", metrics, re.M))
    print("left over:", left)
    print(*re.findall(r"^moss_requests_total.*|^moss_cancelled.*", metrics, re.M), sep="\n")
    return 1 if n_wrong or any(value != "0" for value in left.values()) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--even", type=int, default=400, help="requests of which none is cut, for the throughput")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--alone", type=int, default=40)
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as state:
        command = [
            sys.executable,
            "-m",
            "moss_cli",
            "serve",
            "-m",
            "tiny",
            "--dtype",
            "fp32",
            "--port",
            "0",
            "--detach",
        ]
        environment = {**os.environ, "MOSS_STATE_DIR": state}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        try:
            port = urlsplit(done.stdout.strip()).port
            [record] = Path(state, "serve").glob("*.json")
            pid = json.loads(record.read_text())["pid"]
            return asyncio.run(measure(Client(port or 0, clips(options.clips)), pid, options))
        finally:
            subprocess.run([*command[:4], "--stop"], env=environment, check=True)
            for log in Path(state, "serve").glob("*.log"):
                print(log.read_text()[-2000:])


if __name__ == "__main__":
    sys.exit(main())
