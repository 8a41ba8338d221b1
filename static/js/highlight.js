// Colours code with the CSS Custom Highlight API: the text on the page is not touched, so what is
// copied, selected or tested is exactly what was served. Browsers without it show plain code.
(() => {
  if (!window.CSS || !CSS.highlights) return;

  const KEYWORDS =
    /\b(?:import|from|for|in|print|const|let|await|async|new|return|if|else|try|except|with|as|curl|True|False|None|true|false|null)\b/;
  const RULES = [
    ["code-comment", /(?:^|(?<=\s))(?:\/\/|#)[^\n]*/],
    ["code-string", /f?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`/],
    ["code-number", /(?<![\w./:-])\d+(?:\.\d+)?\b/],
    ["code-keyword", KEYWORDS],
  ];
  const PATTERN = new RegExp(
    RULES.map(([name, rule]) => `(?<${name.replace("-", "_")}>${rule.source})`).join("|"),
    "gm",
  );

  const paint = (node) => {
    for (const match of node.data.matchAll(PATTERN)) {
      const name = RULES.map(([rule]) => rule).find((rule) => match.groups[rule.replace("-", "_")]);
      const range = new StaticRange({
        startContainer: node,
        startOffset: match.index,
        endContainer: node,
        endOffset: match.index + match[0].length,
      });
      if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
      CSS.highlights.get(name).add(range);
    }
  };

  const paintAll = (root) => {
    root.querySelectorAll("pre > code").forEach((code) => {
      code.normalize();
      code.childNodes.forEach((node) => node.nodeType === Node.TEXT_NODE && paint(node));
    });
  };

  paintAll(document);
  document.addEventListener("htmx:afterSwap", (event) => paintAll(event.target));
})();
