// Draws the API reference from our schema. Swagger UI is served by this site, not by a CDN.
(() => {
  const place = document.getElementById("reference");
  window.SwaggerUIBundle({
    domNode: place,
    url: place.dataset.schema,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    persistAuthorization: false,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    // Nothing may be fetched from elsewhere, a validator's badge included.
    validatorUrl: null,
  });
})();
