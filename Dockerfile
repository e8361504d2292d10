# docker build -t deepclarity .                              CPU
# docker build -t deepclarity:cuda --build-arg VARIANT=cu130 .   NVIDIA GPU; run with --gpus all
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
ARG VARIANT=cpu
# PyTorch's own index, as PyPI's wheels for Linux contain CUDA. Empty: as pip is configured.
ARG TORCH_INDEX=https://download.pytorch.org/whl/${VARIANT}
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY stream stream
COPY models models
COPY pipelines pipelines
COPY configs configs
COPY weights weights
COPY deploy/install.sh deploy/install.sh
RUN VARIANT="${VARIANT}" TORCH_INDEX="${TORCH_INDEX}" sh deploy/install.sh /opt/venv

FROM ${BASE}
COPY --from=build /opt/venv /opt/venv
RUN useradd --uid 10001 --create-home deepclarity
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HEALTH_URL=http://127.0.0.1:9187/healthz
USER deepclarity
WORKDIR /home/deepclarity
EXPOSE 7860 9187
STOPSIGNAL SIGTERM
# For `relay --metrics 9187`, and for `web` with HEALTH_URL=http://127.0.0.1:7860/.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=4)"]
ENTRYPOINT ["deepclarity"]
CMD ["--help"]
