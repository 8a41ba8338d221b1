// Says so when something that htmx was asked to do failed. What a page asks for by itself, every
// few seconds, may fail in silence: it asks again. And keeps the focus in what is replaced.
(() => {
  const WORDS = [
    [403, "This page is out of date, so nothing was changed. Reload it and try again."],
    [404, "That isn't there any more. Reload the page to see what is."],
    [500, "Something went wrong on our side. Nothing is charged twice; please try again."],
  ];
  const NO_ANSWER = "There was no answer. Check your connection and try again.";

  const say = (text) => {
    const region = document.getElementById("trouble");
    if (!region) return;
    region.querySelector("[data-words]").textContent = text;
    region.hidden = false;
    region.scrollIntoView({ block: "nearest" });
  };

  const wasAsked = (detail) => detail.requestConfig?.triggeringEvent?.isTrusted;

  // What had the focus may be gone with the part that was replaced: the new part gets it, so that
  // the keyboard goes on from there and not from the top of the page.
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const isLost = !document.activeElement || document.activeElement === document.body;
    if (!isLost || !wasAsked(detail) || !detail.elt.isConnected) return;
    detail.elt.tabIndex = -1;
    detail.elt.focus({ preventScroll: true });
  });

  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (!wasAsked(detail)) return;
    const known = WORDS.findLast(([status]) => detail.xhr.status >= status);
    say(known ? known[1] : WORDS[0][1]);
  });
  document.addEventListener("htmx:sendError", ({ detail }) => wasAsked(detail) && say(NO_ANSWER));
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (wasAsked(detail)) document.getElementById("trouble")?.setAttribute("hidden", "");
  });
})();
