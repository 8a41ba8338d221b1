// Saves a key that was shown once as the file that most tools read. It never leaves the browser.
(() => {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-env]");
    if (!button) return;
    const secret = document.querySelector(button.dataset.env).textContent.trim();
    const lines = [`OPENAI_API_KEY=${secret}`, `OPENAI_BASE_URL=${button.dataset.envBase}`, ""];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/plain" }));
    // Browsers take the dot away from a name that begins with one.
    link.download = "tokenproxy.env";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
