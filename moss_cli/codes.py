"""The exit codes, and the codes of errors and warnings in the JSON, with a sentence for each.

Scripts choose by them what to do. `docs/reference/` and the manual pages are made from this; a test fails for a code
that is raised anywhere and not explained here.
"""

from __future__ import annotations

from collections.abc import Mapping

EXIT_CODES: Mapping[int, str] = {
    0: "Everything is done, and complete.",
    1: "Unexpected failure, or the output cannot be written.",
    2: "Usage error: wrong options, a folder without audio, a range outside the file, an output that already exists.",
    3: "Incomplete: some inputs failed, or a result is `partial`.",
    4: "No input could be read as audio, or all of them are longer than `--max-duration`.",
    5: "The model is missing or unreadable.",
    6: "The device is missing or out of memory.",
    7: "The model gave no answer in the required form.",
    130: "Interrupted.",
    141: "Stdout was closed, as by `| head -1`. There is no message.",
    143: "Terminated.",
}

# In `error` of an envelope, and in the report of a run.
ERRORS: Mapping[str, str] = {
    "audio": "The input cannot be read as audio, for a reason without a code of its own.",
    "changed": "The file changed while it was being read.",
    "channel": "The recording does not have the channel that is asked for.",
    "codec": "The audio is encrypted, or in a codec or sample format that cannot be decoded.",
    "corrupt": "The file is damaged, so that nothing of it can be used.",
    "device": "The device is missing, or does not do what is asked of it.",
    "disk": "A node of a cluster could not keep the file that it was sent.",
    "disk_full": "A result could not be written: the disk or the user's share of it is full.",
    "empty": "The file or stdin is empty.",
    "exists": "The output exists and would not be overwritten without `--force`.",
    "failure": "Something failed that has no code of its own.",
    "fetch_failed": "The model could not be downloaded.",
    "form": "The form that a client of `moss serve` asked an answer to have cannot be compiled.",
    "grammar": "The answer could not go on in its grammar.",
    "internal": "A bug: an error that was not foreseen. `--debug` shows where.",
    "is_directory": "The input is a folder where a file is needed.",
    "model": "The model is unreadable, or not one that moss can load.",
    "model_missing": "The model is not on this machine.",
    "no_audio": "A folder, list or pattern has no recordings.",
    "no_audio_stream": "The file has no audio stream.",
    "no_cluster": "There is no Ray cluster at the address, or it has nothing to give.",
    "no_samples": "The file is audio, and has no samples.",
    "non_finite": "No sample of the file is a number that can be used.",
    "not_a_file": "The input is a device, socket or the like.",
    "not_audio": "The file is not audio, or in a container that moss does not open.",
    "not_found": "There is no such file.",
    "out_of_memory": "Memory ran out, however little was done at once.",
    "output": "A result could not be written.",
    "partial": "Only in a report: the result is not complete; `warnings` say why.",
    "permission": "The file may not be read.",
    "prefix": "A client of `moss serve` asked for an answer that begins with a token that the model does not have.",
    "range": "The part of the recording that is asked for lies outside it, or is empty.",
    "request_refused": "The server finds the request wrong (400, 422).",
    "schema": "The model gave no answer that fits its schema.",
    "server_busy": "The server has too much to do (429), for longer than was waited.",
    "server_cut": "The server broke off its answer, again and again.",
    "server_error": "The server failed to answer (5xx), again and again.",
    "server_garbage": "What answers at the address is no such server, or gives answers that cannot be read.",
    "server_not_found": "The server does not have what was asked for (404): the address or the model is another one.",
    "server_redirect": "The server names another address, which is not followed.",
    "server_refused": "The server refuses access (401, 403): the key is missing or not one of its own.",
    "server_timeout": "The server stayed silent for longer than `MOSS_SERVER_TIMEOUT`.",
    "server_unreachable": "Nothing listens at the address of the server, or the network does not lead there.",
    "server_untrusted": "The certificate of the server is not to be trusted.",
    "too_long": "The recording is longer than `--max-duration`, or the question longer than the model can take.",
    "track": "The file does not have the audio track that is asked for.",
    "truncated": "The file is cut short before its first samples.",
    "unreadable": "The file could not be read, or none of the answers had the required form.",
    "usage": "The command line asks for something that cannot be meant.",
    "worker_died": "The process of a cluster that worked on the input has died, again and again.",
}

# In `warnings` of an envelope.
WARNINGS: Mapping[str, str] = {
    "cancelled": "The channels cancel each other out when mixed; only one of them is used there.",
    "channel_missing": "A piece of the file does not have the channel that is asked for; it is silent there.",
    "corrupt": "Some of the file is damaged and could not be decoded. The result is `partial`.",
    "cut": "The answer reached its maximum length, in tokens or in a field. The result is `partial`.",
    "gap": "The container leaves a stretch without audio; it counts as silence.",
    "loop": "The model repeated itself in all attempts, and the answer was cut there. The result is `partial`.",
    "merged_by_rule": "The model could not combine the answers about the parts; they are listed one after another.",
    "non_finite": "Samples that are no numbers, for a moment; they count as silence.",
    "other_tracks": "The file has more audio tracks; only one is used.",
    "over_range": "Samples beyond the full scale; they are used unchanged.",
    "range_clamped": "The range ends behind the end of the recording, and was cut there.",
    "retried": "The answer took more than one attempt.",
    "same_channels": "Channels are copies of others, which alone are heard.",
    "seam": "The clock of the file jumps; what follows is joined on.",
    "speakers_by_piece": "Speakers are told apart only within a chunk; each label carries the number of its chunk.",
    "times_missing": "The model gave no times; the text spans the whole chunk.",
    "times_repaired": "Times were missing, out of order or outside the chunk, and were corrected.",
    "truncated": "The file is cut short. The result is `partial`.",
    "turns_left_out": "The model had no room for the oldest of the earlier questions that this one goes on from.",
    "uncovered": "The timeline ends long before what is heard. The result is `partial`.",
    "untrained": "The model was not trained for this task or instruction, so its answer is meaningless.",
    "untranscribed": "Somebody speaks there, and the model gave no text. The result is `partial`.",
    "words_missing": "The model gave no times for some or all of the words.",
}
