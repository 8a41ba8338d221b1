// Says of each table that is wider than its place that it scrolls.
(() => {
  const places = document.querySelectorAll(".table-scroll");
  const look = () =>
    places.forEach((place) => {
      place.toggleAttribute("data-scrolls", place.scrollWidth > place.clientWidth + 1);
    });
  addEventListener("resize", look, { passive: true });
  document.fonts.ready.then(look);
})();
