// A second click on a button that already sends its form would place an order or sign up twice.
(() => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // htmx sends these itself, and disables their button meanwhile.
    if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent !== undefined) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "";
    form.setAttribute("aria-busy", "true");
  });

  // The way back may show the page as it was left.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.removeAttribute("aria-busy");
    });
  });
})();
