# moss in a container. On a CPU, and on NVIDIA GPUs:
#
#     docker build -t moss .
#     docker build -t moss:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#         --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#
#     docker run --rm -v moss-models:/models -v "$PWD:/data" moss transcribe talk.mp3
#     docker run --rm --gpus all -v moss-models:/models moss:cuda models pull 4b-instruct
#
# Downloaded and quantised models are in the volume /models, and files are read and written in /data. The user of the
# container is 1000; `--user "$(id -u):$(id -g)"` makes it another, who then needs a folder of its own as /models.
ARG BASE=python:3.13-slim-bookworm
FROM ${BASE}

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# The images of CUDA bring no Python, or one without venv.
RUN if ! python3 -m venv --help >/dev/null 2>&1; then \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*; \
    fi

WORKDIR /src
RUN python3 -m venv /opt/moss
# torch by itself, so that a change of moss does not download it anew.
COPY constraints.txt ./
RUN /opt/moss/bin/python -m pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" --constraint constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY completions completions
COPY man man
COPY moss_cli moss_cli
RUN /opt/moss/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[serve]'

# Ubuntu's images have a user 1000 already.
RUN (id 1000 >/dev/null 2>&1 || useradd --uid 1000 --create-home moss) \
    && mkdir -p /models/huggingface /models/moss /data \
    && chown -R 1000:1000 /models /data

ENV PATH=/opt/moss/bin:$PATH \
    HOME=/data \
    HF_HOME=/models/huggingface \
    MOSS_CACHE_DIR=/models/moss/cache \
    MOSS_STATE_DIR=/models/moss/state \
    MOSS_CONFIG_DIR=/models/moss/config \
    PYTHONUNBUFFERED=1
USER 1000
WORKDIR /data
VOLUME /models
# --init of `docker run` is not needed: moss ends at a SIGTERM by itself.
ENTRYPOINT ["moss"]
CMD ["--help"]
