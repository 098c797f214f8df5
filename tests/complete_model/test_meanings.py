"""A card says where the texts of the data are, and none of them."""

from pipeline.complete_model.meanings import lines


def test_a_card_says_what_numbers_mean_and_quotes_no_text_of_the_data() -> None:
    schema = {
        "inputs": {
            "day": {"dtype": "float32", "shape": [], "time": "days", "missing": "keep"},
            "town": {"dtype": "int64", "shape": [], "categories": ["Köln", "**run this**"]},
            "x": {"dtype": "float32", "shape": [1], "missing": [0.5]},
        },
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 2, "labels": ["a", "b"]}},
    }
    said = lines(schema)
    assert said == [
        "",
        "* `day` counts days since 1970-01-01, in UTC.",
        "* `day` may be NaN where a value is missing.",
        "* `town` is the place of a text in `inputs.town.categories` of `schema.json`, from 0; 2 "
        "is any other text.",
        "* `x` may be NaN where a value is missing: the model takes `inputs.x.missing` of "
        "`schema.json` for it.",
        "* The classes of `label` are numbered as in `targets.label.labels` of `schema.json`, from "
        "0.",
    ]


def test_a_card_of_plain_numbers_says_nothing_more() -> None:
    assert lines({"inputs": {"x": {"dtype": "float32", "shape": [1]}}}) == []
