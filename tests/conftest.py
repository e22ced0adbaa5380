"""Shared parts: the built-in model, loaded once."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest


@pytest.fixture(scope="session")
def engine():
    from ctm_eval.engines import load_engine

    return load_engine("transformers", "pocket", device="cpu")
