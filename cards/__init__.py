"""Jinja templates of the cards that go with datasets and models."""
