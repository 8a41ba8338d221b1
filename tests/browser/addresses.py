"""What an address of the site leads to."""

from playwright.sync_api import Page


def is_page(page: Page, path: str) -> bool:
    """Tell whether an address shows a page: not a file, nor what only takes a form."""
    answer = page.request.get(path, max_redirects=3)
    is_html = answer.headers.get("content-type", "").startswith("text/html")
    return is_html and "content-disposition" not in answer.headers and answer.status < 400
