from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from tests.docs.pages import PAGES, ROOT, prose, text_of

LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: str) -> set[str]:
    """Headings as the addresses that repository pages give them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        folder = PurePosixPath(page).parent
        target = (ROOT / folder / path).resolve() if path else ROOT / page
        assert target.is_file(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT.resolve()).as_posix()), f"{page}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall(text_of("README.md"))}
    assert set(PAGES) - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_lists_of_contents_name_every_heading(page: str) -> None:
    listed = re.findall(r"^- \[.*\]\(#.*$", text_of(page), re.MULTILINE)
    if not listed:
        return
    named = set(re.findall(r"\(#([^)]+)\)", "\n".join(listed)))
    headings = {
        re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in re.findall(r"^## (.*)$", prose(page), re.M)
    }
    assert named == headings
