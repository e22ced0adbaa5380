"""Finds the packages. `cli` and `cards` install as `ctm_cli` and `ctm_cards`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ctm_*"]), "ctm_cli", "ctm_cards"],
    package_dir={"ctm_cli": "cli", "ctm_cards": "cards"},
)
