"""The page that describes the service, of its OpenAPI document; without scripts, so that it works offline."""

import re

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from components.plots.pages import page_environment


def page(app: FastAPI) -> HTMLResponse:
    """What /openapi.json says, to read."""
    template = page_environment(__file__).get_template("description.html.j2")
    html = template.render(app.openapi(), schemas=_schemas)
    return HTMLResponse(
        html, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    )


def _schemas(about: object) -> list[str]:
    """The names of the schemas that a part of an OpenAPI document refers to."""
    return re.findall(r"#/components/schemas/(\w+)", str(about))
