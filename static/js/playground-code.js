// Writes a request of the playground as a program: what is sent is what is shown.
(() => {
  const indented = (value, by) => JSON.stringify(value, null, 2).replaceAll("\n", `\n${by}`);

  const curl = (base, body) => {
    // Within single quotes a shell leaves all but these alone.
    const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
    return [
      `curl ${base}/chat/completions \\`,
      `  -H "Authorization: Bearer $OPENAI_API_KEY" \\`,
      `  -H "Content-Type: application/json" \\`,
      `  -d '${json}'`,
    ].join("\n");
  };

  const python = (base, body) =>
    [
      "import json",
      "",
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url="${base}")  # reads OPENAI_API_KEY`,
      "",
      `request = json.loads(r'''${JSON.stringify(body, null, 2).replaceAll("'", "\\u0027")}''')`,
      "for chunk in client.chat.completions.create(**request):",
      "    for choice in chunk.choices:",
      '        print(choice.delta.content or "", end="", flush=True)',
    ].join("\n");

  const node = (base, body) =>
    [
      'import OpenAI from "openai";',
      "",
      `const client = new OpenAI({ baseURL: "${base}" }); // reads OPENAI_API_KEY`,
      "",
      `const stream = await client.chat.completions.create(${indented(body, "")});`,
      "for await (const chunk of stream) {",
      '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
      "}",
    ].join("\n");

  window.playgroundCode = { curl, python, node };
})();
