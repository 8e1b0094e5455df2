"""The page that describes the service, of its OpenAPI document; without scripts, so that it works offline."""

import re
from pathlib import Path

import jinja2
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8")
)


def page(app: FastAPI) -> HTMLResponse:
    """What /openapi.json says, to read."""
    html = PAGE.render(app.openapi(), schemas=_schemas)
    return HTMLResponse(
        html, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )


def _schemas(about: object) -> list[str]:
    """The names of the schemas that a part of an OpenAPI document refers to."""
    return re.findall(r"#/components/schemas/(\w+)", str(about))
