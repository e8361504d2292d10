FROM python:3.12-slim

# What OpenCV's window code links to.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/deepclarity
COPY . .
# Name the index of PyTorch's CPU wheels here for an image without CUDA, several gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL=
RUN pip install --no-cache-dir . \
    && useradd --create-home relay

USER relay
WORKDIR /home/relay
STOPSIGNAL SIGTERM
ENTRYPOINT ["deepclarity"]
CMD ["--help"]
