"""Environment variables that are no options, and files, with a sentence for each."""

from __future__ import annotations

VARIABLES = {
    "MOSS_CONFIG_DIR": "The config folder, with `config.toml` and `models.toml`, in the place of the user's own.",
    "MOSS_STATE_DIR": "The folder for what is kept from run to run, such as the figures of `moss bench`.",
    "MOSS_CACHE_DIR": "The folder for what can be made anew, such as 4-bit copies of models.",
    "MOSS_API_KEY": "The key that moss shows a server which decodes in its place (`-m http://…`).",
    "MOSS_SERVER_TIMEOUT": "How long such a server may take over an answer, in seconds.",
    "MOSS_SERVER_TOKEN": "The token that clients of `moss serve` must show.",
    "HF_HOME": "The folder of the Hugging Face tools, with which moss shares its downloads.",
    "HF_HUB_CACHE": "The folder for downloads alone.",
    "HF_ENDPOINT": "Another hub than huggingface.co, such as a mirror.",
    "HF_TOKEN": "The token that `moss models pull` shows the hub.",
    "HF_HUB_OFFLINE": "Set to 1, nothing is downloaded.",
    "HTTPS_PROXY": "The proxy for downloads; `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` hold as well.",
    "CUDA_VISIBLE_DEVICES": "The GPUs that moss sees.",
    "NO_COLOR": "Set to anything, nothing is coloured.",
    "TERM": "Set to `dumb`, there is no progress bar.",
    "COLUMNS": "The width of the terminal, in the place of its own.",
    "XDG_CONFIG_HOME": "On Linux, where the config folder `moss` is, in the place of `~/.config`.",
    "XDG_STATE_HOME": "On Linux, where the state folder `moss` is, in the place of `~/.local/state`.",
    "XDG_CACHE_HOME": "On Linux, where the cache folder `moss` is, in the place of `~/.cache`.",
    "SHELL": "The shell that `moss completions install` is for, unless it is named.",
}

FILES = {
    "~/.config/moss/config.toml": "Defaults of options. `moss config path` prints where it is.",
    "~/.config/moss/models.toml": "Models of one's own, and the default model.",
    "~/.cache/huggingface/hub": "Downloaded models.",
    "~/.cache/moss": "4-bit copies of models.",
    "~/.local/state/moss": "Figures of `moss bench`.",
    "DIR/.moss": "In an output folder: what moss wrote there, and what is unfinished.",
}
