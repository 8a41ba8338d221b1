// What style sheets may look like. `make lint-more` copies this to var/lint-more, as deep as here.
export default {
  extends: "stylelint-config-standard",
  reportDescriptionlessDisables: true,
  reportNeedlessDisables: true,
  rules: {
    // Empty lines group custom properties by what they are for.
    "custom-property-empty-line-before": null,
    // Rules stand in the order of the page; a list may name two kinds of links.
    "no-descending-specificity": null,
    // Browsers that don't know ranges would show phones the layout of a desk.
    "media-feature-range-notation": "prefix",
    // Safari knows it by no other name.
    "property-no-vendor-prefix": [true, { ignoreProperties: ["text-size-adjust"] }],
    // Fonts are spelled as their makers do.
    "value-keyword-case": ["lower", { ignoreProperties: ["/^--font/"] }],
  },
  overrides: [
    {
      files: ["../../static/css/admin.css"],
      // Django names these.
      rules: { "selector-class-pattern": null, "selector-id-pattern": null },
    },
    {
      files: ["../../sandbox/**/*.css"],
      // Small enough for one line a rule.
      rules: {
        "at-rule-empty-line-before": null,
        "declaration-block-single-line-max-declarations": null,
        "rule-empty-line-before": null,
      },
    },
  ],
};
