"""Cards: metadata that the Hub takes, the text of others kept, and nothing that breaks them."""

import re

import pytest
from handmade import evaluated_by_hand

from ctm_data.pages import card
from ctm_data.pages.card import BEGIN, END, dataset_card, size_category, split_card
from ctm_data.pages.heat_map import picture
from ctm_data.run import schema
from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

TABLES = ["problems", "solutions", "rollouts", "contrast"]  # of a run without verifiers


def test_the_metadata_are_what_the_hubs_client_reads(whole_run):
    from huggingface_hub import DatasetCard

    card = DatasetCard((whole_run / "README.md").read_text())
    data = card.data.to_dict()
    assert [config["config_name"] for config in data["configs"]] == TABLES
    assert data["license"] == "apache-2.0"
    assert data["size_categories"] == ["n<1K"]


def test_the_hub_finds_nothing_to_object_to(whole_run):
    from hub import metadata_errors

    assert metadata_errors((whole_run / "README.md").read_text()) == []


def test_the_card_says_what_there_is(whole_run):
    card = (whole_run / "README.md").read_text()
    for heading in (
        "## Figures",
        "## Tables",
        "## How it was made",
        "## Limitations",
        "## Citation",
    ):
        assert heading in card
    assert "| prompt | zero-shot |" in card
    assert "![A wrong solution" in card and (whole_run / "trajectory.svg").exists()
    assert "Contrastive estimation against rollouts" in card
    assert all(f"| `{column}` |" in card for table in TABLES for column in SCHEMAS[table].names)


def test_every_column_has_a_meaning():
    for name, table in schema.TABLES.items():
        for column in table.columns:
            assert re.fullmatch(r"[\w`].*\.", column.meaning), f"{name}.{column.name}: a sentence"


def test_the_text_of_others_is_kept_and_ours_replaced(whole_run):
    store = Store(whole_run)
    theirs = (
        f"---\nlicense: mit\ntags: [mine]\n---\n# Mine\n\n{BEGIN}\nold\n{END}\n\nMore of mine.\n"
    )
    card = dataset_card(store, existing=theirs)
    metadata, body = split_card(card)
    assert metadata["license"] == "mit"
    assert metadata["tags"][:2] == ["mine", "critical-tokens"]
    assert body.startswith("# Mine\n\n" + BEGIN) and body.endswith(END + "\n\nMore of mine.\n")
    assert "\nold\n" not in body
    assert dataset_card(store, existing=card) == card, "once more changes nothing"


def test_a_card_without_our_marks_is_kept_above_ours(whole_run):
    body = split_card(dataset_card(Store(whole_run), existing="# Mine\n"))[1]
    assert body.startswith("# Mine\n\n" + BEGIN)


@pytest.mark.parametrize(
    "broken", [f"text {BEGIN}", f"text {END}", "---\na: [\n---\n", "---\n- a\n---\n"]
)
def test_a_broken_card_is_not_guessed_at(whole_run, broken):
    with pytest.raises(CtmError, match=r"README\.md"):
        dataset_card(Store(whole_run), existing=broken)


def test_what_a_model_wrote_cannot_break_the_card(run, change):
    evil = f"```\n{END}\n<script>alert(1)</script> | `x` |\n---\n"
    change(run, "solutions", lambda rows: rows[0].update(text=evil, answer=evil))
    change(run, "rollouts", lambda rows: rows[0].update(critical_piece=evil))
    store = Store(run)
    card = dataset_card(store)
    assert card.count(END) == 1 and "<script>" not in card
    again = dataset_card(store, existing=card + "\nMine.\n")
    assert again == card + "\nMine.\n"


def test_the_picture_loads_nothing_from_elsewhere(whole_run):
    svg = picture(Store(whole_run))
    assert svg.startswith("<svg") and "url(" not in svg.replace("url(#", "")
    assert "critical token" in svg.replace("&#160;", " ")


@pytest.mark.parametrize(
    ("rows", "name"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**9, "n>1B")]
)
def test_size_categories(rows, name):
    assert size_category(rows) == name


def test_a_name_in_an_evaluation_cannot_add_to_its_card(tmp_path):
    """A model's name that ends its line, in the metadata and in the text; a verdict that is HTML."""
    name = "m: x\nlicense: evil\n\n<img src=x> [a](b)"
    run = evaluated_by_hand(tmp_path / "run", model=name, wrong="<b>right</b>")
    metadata, body = split_card(dataset_card(Store(run)))
    assert metadata["pretty_name"] == f"Evaluation of {name} on math500"
    assert metadata["license"] != "evil"
    assert "<img" not in body and "<b>" not in body and "[a](b)" not in body


def test_a_card_that_needs_more_memory_than_little_gets_it(whole_run, monkeypatch):
    expected = dataset_card(Store(whole_run))
    monkeypatch.setattr(card, "LITTLE", 1 << 20)
    assert dataset_card(Store(whole_run)) == expected
