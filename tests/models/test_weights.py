import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from deepclarity.errors import UsageError, WeightsError
from deepclarity.models.load import available_models, load_enhancer
from deepclarity.models.weights import load_weights, read_manifest

MANIFEST = """
[tiny]
kind = "enhancer"
family = "turbo"
architecture = {{ layers = 1, channels = 4 }}
scales = [2]
file = "{file}"
bytes = {bytes}
sha256 = "{sha256}"
parameters = 3
licence = "Apache-2.0"
trained_on = "nothing"
measured = "nothing"
note = ""
"""


def write(folder: Path, content: bytes, *, file: str = "tiny.safetensors") -> None:
    """Write a weights file and a manifest that matches it."""
    digest = hashlib.sha256(content).hexdigest()
    (folder / file).write_bytes(content)
    (folder / "manifest.toml").write_text(MANIFEST.format(file=file, bytes=len(content), sha256=digest))


def valid_content() -> bytes:
    return safetensors.numpy.save({"a": np.arange(3, dtype=np.float16)})


def test_weights_are_loaded_as_float32_with_their_record(tmp_path):
    write(tmp_path, valid_content())
    record, tensors = load_weights("tiny", folder=tmp_path)
    assert (record.name, record.scales, record.architecture["layers"]) == ("tiny", (2,), 1)
    assert tensors["a"].dtype == np.float32
    assert tensors["a"].tolist() == [0, 1, 2]


def test_one_flipped_bit_is_detected(tmp_path):
    write(tmp_path, valid_content())
    content = bytearray(valid_content())
    content[-1] ^= 1
    (tmp_path / "tiny.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights("tiny", folder=tmp_path)


def test_truncated_file_is_detected(tmp_path):
    write(tmp_path, valid_content())
    (tmp_path / "tiny.safetensors").write_bytes(valid_content()[:-4])
    with pytest.raises(WeightsError, match="bytes, not"):
        load_weights("tiny", folder=tmp_path)


def test_missing_file_is_named(tmp_path):
    write(tmp_path, valid_content())
    (tmp_path / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors is missing"):
        load_weights("tiny", folder=tmp_path)


def test_invalid_safetensors_with_matching_hash_is_refused(tmp_path):
    write(tmp_path, b"\x08" + bytes(40))
    with pytest.raises(WeightsError, match="not a usable safetensors") as caught:
        load_weights("tiny", folder=tmp_path)
    assert "\n" not in str(caught.value)


class FailsWhenUnpickled:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize("file", ["tiny.pt", "tiny.safetensors"])
def test_pickle_is_never_loaded(tmp_path, file):
    write(tmp_path, pickle.dumps(FailsWhenUnpickled()), file=file)
    with pytest.raises(WeightsError):
        load_weights("tiny", folder=tmp_path)


def test_incomplete_manifest_raises_weights_error(tmp_path):
    (tmp_path / "manifest.toml").write_text('[tiny]\nfile = "tiny.safetensors"\n')
    with pytest.raises(WeightsError, match=r"manifest\.toml"):
        load_weights("tiny", folder=tmp_path)


def test_unknown_name_suggests_the_nearest(tmp_path):
    write(tmp_path, valid_content())
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        load_weights("tinny", folder=tmp_path)


def test_every_shipped_enhancer_loads_and_matches_its_record():
    for name, record in read_manifest().items():
        if record.kind != "enhancer":
            continue
        _, tensors = load_weights(name)
        enhancer = load_enhancer(name, device="cpu")
        assert sum(value.size for value in tensors.values()) == record.parameters
        assert all(np.isfinite(value).all() for value in tensors.values())
        assert enhancer.scales == record.scales


def test_available_models_are_lanczos_and_all_of_the_manifest():
    names = [model.name for model in available_models()]
    assert names[0] == "lanczos"
    assert {"turbo", *read_manifest()} <= set(names)
