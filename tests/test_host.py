"""What the library asks of its machine."""

from __future__ import annotations

import os

import pytest

from autodiff import host


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Files of control groups, and a machine of 64 processors."""
    files = [tmp_path / name for name in ("max", "quota", "period")]
    monkeypatch.setattr(host, "_QUOTAS", ((files[0],), tuple(files[1:])))
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: set(range(64)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return files


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (("max 100000\n",), 32),
        (("200000 100000\n",), 2),
        (("250000 100000\n",), 3),
        (("50000 100000\n",), 1),
        ((None, "-1\n", "100000\n"), 32),
        ((None, "400000\n", "100000\n"), 4),
        ((None, "400000\n"), 32),
        (("",), 32),
        ((), 32),
    ],
)
def test_a_container_may_allow_fewer_processors_than_there_are(groups, texts, count):
    for path, text in zip(groups, texts, strict=False):
        if text is not None:
            path.write_text(text)
    assert host.thread_count(32) == count


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("64", 32), ("0", 32), ("x", 32), ("", 32)])
def test_the_environment_says_how_many_threads(groups, monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert host.thread_count(32) == count
