# make demo    a transcript of a sample, from a bare machine with Python 3.11+ and make
# make test    the whole test suite
# make lint    ruff and mypy
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint format bench bench-long bench-gpu completions reference examples picture evaluate tiny clean

demo: $(VENV)/.installed
	$(BIN)/moss transcribe --model tiny samples/meeting.wav -f txt
	$(BIN)/moss transcribe --model tiny samples/meeting.wav -f srt
	@echo "moss is $(BIN)/moss; try \`$(BIN)/moss demo\`, or \`. $(BIN)/activate\` and then \`moss\`"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

completions: $(VENV)/.installed
	$(BIN)/moss completions bash > completions/moss.bash
	$(BIN)/moss completions zsh > completions/_moss
	$(BIN)/moss completions fish > completions/moss.fish

# Pages and manual pages that are made from the program, and the scripts of the shells.
reference: completions
	$(BIN)/python docs/make_reference.py

examples: $(VENV)/.installed
	$(BIN)/python docs/make_examples.py

# Needs tmux.
picture: $(VENV)/.installed
	$(BIN)/python docs/make_picture.py

# The next two need Debian's espeak-ng and flite, and fluidsynth with its FluidR3 sound font.
evaluate: $(VENV)/.dev
	$(BIN)/python -m training.evaluate --count 200 --card moss_cli/weights/tiny/README.md

tiny: $(VENV)/.dev
	sh training/tiny.sh $(BIN)/python

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/grammar.py
	$(BIN)/python benchmarks/prefetch.py

bench-long: $(VENV)/.dev
	$(BIN)/python benchmarks/long_audio.py

# Needs no installation, only a Python with torch and a little more: benchmarks/gpu.py says what. DRY=1 tries it at small
# sizes, as it does by itself where there is no CUDA device.
GPU_PYTHON ?= $(or $(wildcard $(BIN)/python),$(PYTHON))
OUT ?= build/bench-gpu
bench-gpu:
	$(GPU_PYTHON) benchmarks/gpu.py --out $(OUT) $(if $(DRY),--dry-run)

clean:
	rm -rf $(VENV) build dist

# torch comes first and alone, so that no other package can ask for another build of it.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed")'
	@echo "Installing into $(VENV): torch and a few more, which takes a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $$($(BIN)/python .ci/torch_index.py) --constraint constraints.txt torch
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
