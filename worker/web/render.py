"""Templates with the texts at hand."""

from typing import Any

from flask import render_template

from worker.web import texts


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - a template takes anything
    """A page. Every text of ours is `t.NAME`; whatever comes from portals is escaped."""
    return render_template(template, t=texts, **values)


def message(title: str, text: str) -> str:
    """A page that says one thing."""
    return render("message.html", title=title, text=text)
