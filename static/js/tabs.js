// Turns `.tabs > section[data-tab]` into tabs. The choice holds for every group on the page.
(() => {
  const select = (group, name, { focus = false } = {}) => {
    const panels = [...group.querySelectorAll(":scope > section")];
    if (!panels.some((panel) => panel.dataset.tab === name)) return;
    panels.forEach((panel) => {
      panel.hidden = panel.dataset.tab !== name;
    });
    group.querySelectorAll("[role=tab]").forEach((tab) => {
      const isSelected = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      if (isSelected && focus) tab.focus();
    });
  };

  const selectEverywhere = (origin, name, focus) => {
    document
      .querySelectorAll(".tabs[data-ready]")
      .forEach((group) => select(group, name, { focus: focus && group === origin }));
  };

  const move = (event, group, names) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    if (!(event.key in steps)) return;
    const here = names.indexOf(event.target.dataset.tab);
    const next = names[(here + steps[event.key] + names.length) % names.length];
    event.preventDefault();
    selectEverywhere(group, next, true);
  };

  const build = (group, index) => {
    const panels = [...group.querySelectorAll(":scope > section")];
    const list = document.createElement("div");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", group.dataset.label);
    panels.forEach((panel) => {
      const tab = document.createElement("button");
      const id = `tabs-${index}-${panel.dataset.tab}`;
      tab.type = "button";
      tab.id = `${id}-tab`;
      tab.dataset.tab = panel.dataset.tab;
      tab.textContent = panel.dataset.title;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", id);
      tab.addEventListener("click", () => selectEverywhere(group, panel.dataset.tab, false));
      panel.id = id;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      list.append(tab);
    });
    const names = panels.map((panel) => panel.dataset.tab);
    list.addEventListener("keydown", (event) => move(event, group, names));
    group.prepend(list);
    group.dataset.ready = "";
    select(group, names[0]);
  };

  document.querySelectorAll(".tabs").forEach(build);

  // Of a row of pages that scrolls, the present one comes into view.
  document.querySelectorAll(".tabs-nav").forEach((row) => {
    const here = row.querySelector("[aria-current]");
    if (here) row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  });
})();
