// Reads a chart's bars out, under the pointer and by the arrow keys. The figures are its table's.
(() => {
  const cellsOf = (row) => [...row.cells].map((cell) => cell.textContent.trim());

  // What is nothing is left out of the words, but for the first figure.
  const factsOf = (table, index) => {
    const names = cellsOf(table.tHead.rows[0]);
    const [label, ...values] = cellsOf(table.tBodies[0].rows[index]);
    const facts = values.map((value, at) => [names[at + 1], value]);
    return [label, facts.filter(([, value], at) => at === 0 || value !== "0")];
  };

  const line = (name, value) => {
    const row = document.createElement("div");
    for (const text of [name, value]) {
      const cell = document.createElement("bdi");
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  };

  const show = (chart, index, { isSaid }) => {
    const bars = chart.querySelectorAll("[data-bar]");
    const table = chart.parentElement.querySelector("[data-figures]");
    const tip = chart.querySelector("[data-tip]");
    chart.querySelector("[data-here]")?.removeAttribute("data-here");
    bars[index].setAttribute("data-here", "");
    chart.dataset.index = index;

    const [label, facts] = factsOf(table, index);
    const title = document.createElement("strong");
    title.textContent = label;
    tip.replaceChildren(title, ...facts.map(([name, value]) => line(name, value)));
    tip.hidden = false;
    const room = tip.parentElement.clientWidth - tip.offsetWidth;
    const middle = ((index + 0.5) / bars.length) * tip.parentElement.clientWidth;
    // Beside the bar, on the side that has more room.
    const left = middle > tip.parentElement.clientWidth / 2 ? middle - tip.offsetWidth - 14 : middle + 14;
    tip.style.left = `${Math.max(0, Math.min(room, left))}px`;
    if (isSaid) {
      const words = facts.map(([name, value]) => `${name} ${value}`).join(", ");
      chart.querySelector("[data-said]").textContent = `${label}: ${words}`;
    }
  };

  const hide = (chart) => {
    chart.querySelector("[data-here]")?.removeAttribute("data-here");
    chart.querySelector("[data-tip]").hidden = true;
  };

  const chartOf = (event) => event.target.closest?.("[data-plot]")?.closest("[data-chart]");

  document.addEventListener("pointermove", (event) => {
    const chart = chartOf(event);
    if (!chart) {
      document.querySelectorAll("[data-chart]").forEach((each) => {
        if (!each.contains(document.activeElement)) hide(each);
      });
      return;
    }
    const { left, width } = chart.querySelector("[data-plot]").getBoundingClientRect();
    const count = chart.querySelectorAll("[data-bar]").length;
    const index = Math.floor(((event.clientX - left) / width) * count);
    show(chart, Math.max(0, Math.min(count - 1, index)), { isSaid: false });
  });

  document.addEventListener("keydown", (event) => {
    const chart = chartOf(event);
    if (!chart) return;
    const last = chart.querySelectorAll("[data-bar]").length - 1;
    const here = Number(chart.dataset.index ?? last + 1);
    const next = {
      ArrowLeft: Math.max(0, here - 1),
      ArrowRight: Math.min(last, here + 1),
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Escape") hide(chart);
    if (next === undefined) return;
    event.preventDefault();
    show(chart, next, { isSaid: true });
  });

  document.addEventListener("focusout", (event) => {
    const chart = chartOf(event);
    if (chart) hide(chart);
  });
})();
