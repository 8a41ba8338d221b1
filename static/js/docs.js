// The documentation was one page once. Links to its sections lead on to where they are now.
(() => {
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const entry = id ? document.getElementById(id) : null;
    const link = entry?.closest(".docs-moved li")?.querySelector("a");
    if (link) location.replace(link.href);
  };
  addEventListener("hashchange", follow);
  follow();
})();
