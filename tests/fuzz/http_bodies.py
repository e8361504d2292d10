"""Damaged HTTP bodies for the web app: uploads, calls of the API, forms. Every answer must be one in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx

from .damage import damage, damage_text
from .harness import Outcome
from .readers import READERS

_BOUNDARY = "----fuzz"
_ANSWERS = {200, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 422, 429, 431, 501, 503, 507}
"""Success, refusals, and `busy`; 500 is none of them."""
_INTERNALS = ("Traceback", "site-packages", 'File "')


class HttpFuzzer:
    """Sends damaged requests to a running web app."""

    def __init__(self, client: httpx.Client, folder: Path) -> None:
        """`client`: with the app's address. `folder`: for a picture to upload."""
        self._client = client
        self._picture = READERS["png"].write(folder).read_bytes()
        answer = client.post("/gradio_api/upload", files={"files": ("a.png", self._picture)})
        self._uploaded = str(answer.json()[0])

    def outcomes(self, seed: int) -> Iterator[Outcome]:
        """One damaged request of a kind by `seed`, and, if it started a job, the job's answer."""
        random = Random(seed)
        path, content_type, intact = random.choice(self._requests())
        is_text = content_type.startswith("application/")
        body, damages = (damage_text if is_text else damage)(intact, seed)
        if random.random() < 0.1:
            content_type = random.choice(("", "multipart/form-data", "text/plain", "application/json; charset=utf-99"))
        try:
            answer = self._client.post(path, content=body, headers={"content-type": content_type})
        except httpx.HTTPError as error:
            yield Outcome("http", seed, damages, path, None, f"no answer: {type(error).__name__}")
            return
        yield Outcome("http", seed, damages, path, answer.status_code, _problem(answer))
        if answer.status_code == 200 and (event := _event(answer)) is not None:
            try:
                result = self._client.get(f"{path}/{event}")
            except httpx.HTTPError as error:
                yield Outcome("http", seed, damages, f"{path}/…", None, f"no answer: {type(error).__name__}")
                return
            yield Outcome("http", seed, damages, f"{path}/…", result.status_code, _problem(result))

    def _requests(self) -> list[tuple[str, str, bytes]]:
        """(path, content type, body) of intact requests."""
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        upload = f"{head}Content-Type: image/png\r\n\r\n".encode() + self._picture + f"\r\n--{_BOUNDARY}--\r\n".encode()
        file = {"path": self._uploaded, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png", "size": 4000}
        calls = {"detect": [file, "grid"], "correct": [file, "lanczos", False]}
        joined = {"data": [file, "grid"], "fn_index": 1, "session_hash": "abc", "event_data": None, "trigger_id": 3}
        return [
            ("/gradio_api/upload", f"multipart/form-data; boundary={_BOUNDARY}", upload),
            *[
                (f"/gradio_api/call/{name}", "application/json", json.dumps({"data": data}).encode())
                for name, data in calls.items()
            ],
            ("/gradio_api/queue/join", "application/json", json.dumps(joined).encode()),
            ("/login", "application/x-www-form-urlencoded", b"username=ann&password=secret"),
        ]


def _problem(answer: httpx.Response) -> str | None:
    """What is wrong with an answer; None: nothing."""
    if answer.status_code not in _ANSWERS:
        return f"status {answer.status_code}: {answer.text[:200]}"
    if any(text in answer.text for text in _INTERNALS):
        return f"status {answer.status_code}, internals in the answer: {answer.text[:200]}"
    return None if answer.text.strip() or answer.status_code == 405 else f"status {answer.status_code} without a word"


def _event(answer: httpx.Response) -> str | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    event = found.get("event_id") if isinstance(found, dict) else None
    return event if isinstance(event, str) and "/queue/" not in str(answer.url) else None
