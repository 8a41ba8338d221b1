// Marks the section being read in the documentation's contents.
(() => {
  const links = new Map(
    [...document.querySelectorAll(".docs-nav a")].map((link) => [link.hash.slice(1), link]),
  );
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  if (!sections.length) return;

  const mark = () => {
    const edge = innerHeight * 0.3;
    const isAtEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 4;
    const read = sections.filter((section) => section.getBoundingClientRect().top <= edge);
    const here = isAtEnd ? sections.at(-1) : (read.at(-1) ?? sections[0]);
    links.forEach((link, id) => {
      if (id === here.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };

  let isDue = false;
  const schedule = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      mark();
    });
  };
  addEventListener("scroll", schedule, { passive: true });
  addEventListener("resize", schedule, { passive: true });
  mark();
})();
