"""Print pip's option for torch's CPU builds where they are wanted and can be reached; else nothing.

PyPI's torch for Linux brings gigabytes of CUDA. Without an NVIDIA GPU the CPU build is asked for:
from PyTorch's own index if it answers at once, and otherwise wherever pip is set to look anyway.
"""

import shutil
import sys
import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE_S = 4


def main() -> None:
    if sys.platform != "linux" or shutil.which("nvidia-smi"):
        return
    try:
        with urllib.request.urlopen(f"{INDEX}/torch/", timeout=PATIENCE_S):
            print(f"--extra-index-url {INDEX}")
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    main()
