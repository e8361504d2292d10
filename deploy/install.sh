#!/bin/sh
# Install the project from the current folder into the virtual environment $1, as small as it can be; for the Dockerfile.
# VARIANT: cpu, or PyTorch's name of a CUDA version. TORCH_INDEX: where its wheels are; empty: as pip is configured.
set -eu
venv=$1
pip="$venv/bin/pip"
extras=web,models,heic
if [ "$VARIANT" != cpu ]; then extras="$extras,cuda"; fi

# torch first and from one index alone, so that no other build of it is chosen; its requirements are in pyproject.toml.
requirements=$("$venv/bin/python3" -c 'import tomllib; print("\n".join(r for r in
    tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"] if r.startswith("torch")))')
# shellcheck disable=SC2086  # one word for each requirement
"$pip" install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} $requirements
"$pip" install ".[$extras]"

# OpenCV without windows: there is no display, and the other one needs libGL.
version=$("$pip" freeze | sed -n 's/^opencv-python==//p')
"$pip" uninstall --yes opencv-python
"$pip" install --no-deps "opencv-python-headless==$version"

# What is only for compiling or testing other programs.
packages=$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$packages/torch/include" "$packages/torch/test" "$packages/torch/bin"
# OpenVINO computes on the CPU only: no plugins for Intel's GPUs and NPUs.
rm -f "$packages"/openvino/libs/libopenvino_intel_[gn]pu_plugin.so "$packages/openvino/libs/cache.json"
find "$venv" -depth \( -type d -name __pycache__ -o -type d -name tests -path '*/pandas/*' \) -exec rm -rf {} +
