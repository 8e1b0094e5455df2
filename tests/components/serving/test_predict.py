"""Predictions for a folder of pictures."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.config.code import ROOT
from components.serving.class_folders import Picture
from components.serving.models import open_model
from components.serving.page import predictions_page
from metasgd.errors import InputError
from metasgd.tasks import Examples
from tests.components.serving.predicting import (
    CLASSES,
    SIDE,
    classifier,
    curves,
    draw,
    draw_task,
    predict,
    probabilities,
    table,
    write,
)


def test_probabilities_are_those_of_the_served_model(tmp_path: Path) -> None:
    """Bit for bit, with the classes in the order of their names; they sum to 1, and the largest one wins."""
    served = classifier(tmp_path / "model")
    support, queries = draw_task(tmp_path)
    expected = served.adapt(Examples(support, torch.arange(4).repeat_interleave(2))).probabilities(queries)
    output = predict(tmp_path)
    found = table(output)
    assert list(found.columns) == ["file", "class", "probability", *(f"p({name})" for name in CLASSES)]
    assert found["file"].tolist() == [str(tmp_path / "queries" / f"{number} <i>.png") for number in range(5)]
    np.testing.assert_array_equal(probabilities(output), expected.numpy())
    np.testing.assert_allclose(probabilities(output).sum(axis=1), 1, rtol=1e-6)
    assert found["class"].tolist() == [CLASSES[number] for number in expected.argmax(dim=1)]
    np.testing.assert_array_equal(found["probability"].to_numpy(np.float32), expected.amax(dim=1).numpy())
    assert len(set(found["class"])) > 1, "a test of one class would tell nothing"


def test_a_query_alone_gets_what_it_gets_among_others(tmp_path: Path) -> None:
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    together = probabilities(predict(tmp_path))
    for number in range(5):
        picture = tmp_path / "queries" / f"{number} <i>.png"
        alone = predict(tmp_path, "--support", tmp_path / "support", "--queries", picture)
        np.testing.assert_array_equal(probabilities(alone)[0], together[number])


def test_queries_are_files_and_folders_each_picture_once(tmp_path: Path) -> None:
    """Folders are searched in depth; hidden files and what systems leave there are passed over."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    places = [tmp_path / "one" / name for name in ("b.png", "deep/a b.PNG", ".hidden.png", ".git/c.png")]
    for number, place in enumerate(places):
        draw(place, number)
    (tmp_path / "one" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "support" / "a" / ".DS_Store").write_bytes(b"")
    file = tmp_path / "queries" / "3 <i>.png"
    given: list[str | Path] = ["--support", tmp_path / "support", "--queries", file, tmp_path / "one"]
    assert table(predict(tmp_path, *given, places[0], file))["file"].tolist() == [
        str(p) for p in (file, *places[:2])
    ]


@pytest.mark.parametrize(("head", "ways"), [("per-class", 2), ("shared", 2), ("shared", 6)])
def test_the_number_of_classes_is_the_users(tmp_path: Path, head: str, ways: int) -> None:
    """A zip archive of the class folders is as good."""
    classifier(tmp_path / "model", head)
    draw_task(tmp_path, [f"class {number}" for number in range(ways)])
    assert probabilities(predict(tmp_path)).shape == (5, ways)


class Page(HTMLParser):
    """Of a page: its pictures' (src, alt), its other attributes with addresses, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append((given["src"] or "", given["alt"] or ""))
        elif "src" in given or "href" in given:
            self.links.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_picture_with_its_prediction(tmp_path: Path) -> None:
    """Self-contained, and whatever stands in names is text there."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    output = predict(tmp_path)
    text = (output / "predictions.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.pictures) == 8 + 5
    assert all(src.startswith("data:image/png;base64,") and alt for src, alt in page.pictures)
    assert page.links == []
    assert not page.tags & {"script", "link", "b", "i"}
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text
    for name in CLASSES:
        assert name in page.text
    for row in table(output).to_dict("records"):
        assert f"{row['file']}, predicted to be {row['class']}" in [alt for _, alt in page.pictures]
        assert f"{100 * row['probability']:.1f} %" in page.text


def test_a_folder_with_one_model_is_that_model(tmp_path: Path) -> None:
    """As models/<experiment>; where it holds several, they are named."""
    classifier(tmp_path / "experiment" / "meta-sgd-seed1")
    assert open_model(str(tmp_path / "experiment")).name == str(tmp_path / "experiment")
    classifier(tmp_path / "experiment" / "meta-sgd-seed2")
    with pytest.raises(InputError, match=r"holds several models; expected one of .*seed1, .*seed2"):
        open_model(str(tmp_path / "experiment"))


def test_low_confidence_is_said_in_words(tmp_path: Path) -> None:
    """Below two to one; with what comes next."""
    classifier(tmp_path / "model")
    picture = Picture("q.png", torch.zeros(1, SIDE, SIDE))
    found = pd.DataFrame({"class": ["u", "u"], "probability": [0.6, 0.7], "p(t)": [0.1, 0.1],
                          "p(u)": [0.6, 0.7], "p(v)": [0.3, 0.2]})  # fmt: skip
    model = open_model(str(tmp_path / "model"))
    page = Page(predictions_page(model, {name: [picture] for name in "tuv"}, [picture] * 2, found))
    words = " ".join(page.text.split())
    assert "1 of 2 has low confidence" in words
    assert words.count("low confidence; next best") == 1
    assert "next best v (30.0 %)" in words


def test_the_terminal_shows_the_first_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, however narrow the terminal; and says how many more there are. Names are no markup."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    for number in range(23):
        draw(tmp_path / "q" / f"[red]{number:02}.png", number)
    (tmp_path / "q" / "24\n.png").write_bytes((tmp_path / "q" / "[red]00.png").read_bytes())
    predict(tmp_path, "--support", tmp_path / "support", "--queries", tmp_path / "q")
    shown = capsys.readouterr().out
    assert "... and 4 more rows" in shown
    assert f"{tmp_path}/q/[red]18.png" in shown
    assert "[red]20.png" not in shown
    assert "24�.png" in shown, "sorted before the others"


def test_the_real_command_predicts(tmp_path: Path) -> None:
    """As it is typed, with warnings as errors: exit code 0 and nothing on stderr."""
    curves(tmp_path / "model")
    write(tmp_path / "s.csv", "x,y\n1,2\n")
    write(tmp_path / "q.csv", "x\n1\n")
    command = [sys.executable, "-W", "error", "-m", "components.serving.predict", str(tmp_path / "model")]
    places = f"--support {tmp_path}/s.csv --queries {tmp_path}/q.csv --output {tmp_path}/out".split()
    done = subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 predictions in" in done.stdout
