// Says so when something that htmx was asked to do failed. What a page asks for by itself, every
// few seconds, may fail in silence: it asks again. And keeps the focus in what is replaced.
(() => {
  // The names of what the region says, in the page's language.
  const WORDS = [
    [403, "stale"],
    [404, "gone"],
    [500, "broken"],
  ];

  const say = (words) => {
    const region = document.getElementById("trouble");
    if (!region) return;
    region.querySelector("[data-words]").textContent = region.dataset[words];
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
  document.addEventListener("htmx:sendError", ({ detail }) => wasAsked(detail) && say("silent"));
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (wasAsked(detail)) document.getElementById("trouble")?.setAttribute("hidden", "");
  });
})();
