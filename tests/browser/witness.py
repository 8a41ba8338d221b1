"""What went wrong in the browser while nobody looked."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


class Witness:
    """Notes console errors, uncaught errors, failed requests and calls to strangers.

    A violation of the Content-Security-Policy is a console error in Chromium. What happens on the
    pages of `strangers`, addresses that are not ours, is theirs. The page `failing` is there to say
    no: its own answer may be an error.
    """

    def __init__(
        self, context: BrowserContext, *, home: str, strangers: tuple[str, ...], failing: str = ""
    ) -> None:
        self._home = home
        self._strangers = strangers
        self._failing, self._failing_path = failing, urlsplit(failing).path
        self.complaints: list[str] = []
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        context.on("request", self._see_request)
        context.on("requestfailed", self._see_failure)
        context.on("response", self._see_response)

    def _is_theirs(self, url: str) -> bool:
        return url.startswith(self._strangers)

    def _hear(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type not in ("error", "warning") or self._is_theirs(where):
            return
        if self._failing and (where == self._failing or self._failing_path in message.text):
            return
        self.complaints.append(f"console {message.type} at {where}: {message.text}")

    def _catch(self, error: WebError) -> None:
        page = error.page
        if page is None or not self._is_theirs(page.url):
            self.complaints.append(f"uncaught error: {error.error}")

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((self._home, "data:", "blob:", *self._strangers)):
            self.complaints.append(f"a request to a stranger: {request.url}")

    def _see_failure(self, request: Request) -> None:
        # A page that is left ends what it was still fetching.
        if not self._is_theirs(request.url) and request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed request: {request.url}: {request.failure}")

    def _see_response(self, response: Response) -> None:
        is_expected = response.url == self._failing or self._is_theirs(response.url)
        if response.status >= 400 and not is_expected:
            self.complaints.append(f"{response.status} from {response.url}")
