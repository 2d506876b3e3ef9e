"""Every text of the pages stands in one place."""

import re
from pathlib import Path

import pytest

from worker.web import texts

TEMPLATES = sorted((Path(texts.__file__).parent / "templates").glob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_says_nothing_by_itself(template: Path):
    page = template.read_text(encoding="utf-8")
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", page, flags=re.DOTALL)
    said = re.sub(r"<[^>]*>", "", bare)
    shown = re.findall(r"(?:aria-label|placeholder|title|alt)=\"([^\"]*)\"", bare)

    assert not re.search(r"[A-Za-z]", said), said
    assert not any(re.search(r"[A-Za-z]", text) for text in shown)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_asks_for_texts_that_are_there(template: Path):
    for name in re.findall(r"\bt\.(\w+)", template.read_text(encoding="utf-8")):
        assert hasattr(texts, name), name
