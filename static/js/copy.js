// Buttons with data-copy="#id" copy that element's text and say so to everyone.
(() => {
  // The words, in the page's language, are the region's own.
  const say = (words) => {
    const region = document.getElementById("announcer");
    if (!region) return;
    region.textContent = "";
    requestAnimationFrame(() => {
      region.textContent = region.dataset[words];
    });
  };

  // The clipboard API exists only on https and localhost.
  const copyBySelection = (source) => {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const isDone = document.execCommand("copy");
    if (isDone) selection.removeAllRanges();
    return isDone;
  };

  const copy = async (source) => {
    if (!navigator.clipboard) return copyBySelection(source);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      return true;
    } catch {
      return copyBySelection(source);
    }
  };

  const findSource = (button) =>
    button.dataset.copy
      ? document.querySelector(button.dataset.copy)
      : button.closest(".code")?.querySelector("code");

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    const source = button && findSource(button);
    if (!source) return;
    const isDone = await copy(source);
    say(isDone ? "copied" : "selected");
    if (!isDone) return;
    button.dataset.copied = "";
    clearTimeout(button.resetTimer);
    button.resetTimer = setTimeout(() => delete button.dataset.copied, 2000);
  });
})();
