"""The pages that explain each problem type to people."""

import html

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app.core import errors
from app.core.errors import DomainError
from app.core.http.page import link, page
from app.core.http.problems import problem_responses, status_of
from app.core.http.strict_route import StrictRoute

router = APIRouter(prefix="/problems", tags=["problems"], route_class=StrictRoute)


@router.get("", response_class=HTMLResponse, summary="All problem types", responses=problem_responses())
async def list_problems() -> HTMLResponse:
    """Lists every code of a problem, with a link to its explanation."""
    rows = [
        f"<li>{link(f'/problems/{code}', f'<code>{code}</code>')} {kind.title}</li>" for code, kind in _problem_types()
    ]
    return page("Problems", ["<ul>", *rows, "</ul>"])


@router.get(
    "/{code}",
    response_class=HTMLResponse,
    summary="What a problem means",
    responses=problem_responses(errors.NotFound),
)
async def explain_problem(code: str) -> HTMLResponse:
    """Explains a problem type to people: what happened, and what to do."""
    kind = dict(_problem_types()).get(code)
    if kind is None:
        raise errors.NotFound("There is no problem type of that name. GET /problems lists them.")
    escaped = [html.escape(text) for text in (kind.__doc__ or "", kind.remedy)]
    return page(
        kind.title,
        [f"<p><code>{code}</code>, status {status_of(kind)}</p>", f"<p>{escaped[0]}</p>", f"<p>{escaped[1]}</p>"],
    )


def _problem_types() -> list[tuple[str, type[DomainError]]]:
    return sorted((code, kind) for code, kind in DomainError.known.items() if code)
