// Reads whole numbers as people write them, as common/number_fields.py does: 5000, 5,000 or 5 000.
(() => {
  const shown = new Intl.NumberFormat(document.documentElement.lang).formatToParts(1_234_567);
  const ofLanguage = shown.find((part) => part.type === "group")?.value ?? "";
  // One and the same character between groups of three: no misplaced one is guessed at.
  const number = /^(\d{1,3})(?:(\D)\d{3}(?:\2\d{3})*)?$/;
  const separators = ` \u00a0\u2009\u202f'\u2019${ofLanguage}`;

  // The number, or null where the text is none.
  window.readWholeNumber = (text) => {
    const trimmed = text.trim();
    if (/^\d+$/.test(trimmed)) return Number(trimmed);
    const found = number.exec(trimmed);
    if (!found || !separators.includes(found[2])) return null;
    return Number(trimmed.replaceAll(found[2], ""));
  };
})();
