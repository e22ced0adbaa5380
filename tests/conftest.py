"""Shared parts: the built-in model, loaded once."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is not a bug; failures are found again with the same examples.
settings.register_profile(
    "ctm", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ctm")
LONG = ("experiments", "test_docs.py", "ctm_train", "test_soak.py")


def pytest_collection_modifyitems(items):
    """The files with the longest tests come first, so that no worker ends alone with one of them."""
    items.sort(key=lambda item: not {*LONG} & {*item.path.parts})


@pytest.fixture(scope="session")
def engine():
    from ctm_eval.engines import load_engine

    return load_engine("transformers", "pocket", device="cpu")
