"""The examples do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


async def test_the_starlette_example_waits_for_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it writes cookiegate.db where it runs
    spec = importlib.util.spec_from_file_location("starlette_app", EXAMPLES / "starlette_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    transport = httpx.ASGITransport(app=module.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://www.example.com") as client:
        page = (await client.get("/")).text
        assert "Analytics is off: unknown" in page
        assert ' src="https://' not in page
        form = {"choice": "save", "purpose": "analytics", "return_to": "/"}
        page = (await client.post("/_privacy/choices", data=form, follow_redirects=True)).text
    assert "Analytics is on: granted" in page
    assert ' src="https://www.googletagmanager.com/gtag/js' in page
    assert ' src="https://www.youtube.com' not in page
