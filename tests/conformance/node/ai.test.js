// The Vercel AI SDK over chat completions and over responses, its default.
import assert from "node:assert/strict";
import { test } from "node:test";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { model, needsProduct, provider, words } from "./target.js";

const Forecast = z.object({ city: z.string(), days: z.number().int() });
const modes = {
  chat: (name) => provider.chat(name),
  responses: (name) => provider.responses(name),
};

for (const [mode, of] of Object.entries(modes)) {
  test(`${mode}: it generates text and reports usage`, async () => {
    const { text, usage } = await generateText({ model: of(model), prompt: "say 5 words" });

    assert.equal(words(text), 5);
    assert.equal(usage.outputTokens, 5);
  });

  test(`${mode}: it streams text and its usage`, async () => {
    const result = streamText({ model: of(model), prompt: "say 7 words" });
    const parts = [];
    for await (const part of result.textStream) parts.push(part);

    assert.equal(words(parts.join("")), 7);
    assert.ok(parts.length > 1);
    assert.equal((await result.usage).outputTokens, 7);
  });

  for (const streams of [false, true]) {
    test(`${mode}: a tool loop ends in words, stream: ${streams}`, async () => {
      const called = [];
      const get_weather = tool({
        description: "Look up the weather.",
        inputSchema: Forecast,
        execute: async (input) => {
          called.push(input);
          return "Rain";
        },
      });
      const options = {
        model: of(model),
        prompt: "How is 'Oslo' for 3 days?",
        tools: { get_weather },
        stopWhen: stepCountIs(3),
        // Nothing is kept for customers: items go with the request instead of by reference.
        providerOptions: { openai: { store: false } },
      };

      const text = streams
        ? await streamText(options).text
        : (await generateText(options)).text;

      assert.deepEqual(called, [{ city: "Oslo", days: 3 }]);
      assert.ok(words(text) > 1);
    });
  }

  test(`${mode}: a structured answer fits its schema`, async () => {
    const { output } = await generateText({
      model: of(model),
      prompt: "'Oslo' for 3 days",
      output: Output.object({ schema: Forecast }),
    });

    assert.deepEqual(output, { city: "Oslo", days: 3 });
  });

  test(`${mode}: a structured answer streams`, async () => {
    const result = streamText({
      model: of(model),
      prompt: "'Oslo' for 3 days",
      output: Output.object({ schema: Forecast }),
    });
    let last;
    for await (const part of result.partialOutputStream) last = part;

    assert.deepEqual(last, { city: "Oslo", days: 3 });
  });
}

test("a reference to an item that is not stored says what to set instead", { skip: needsProduct }, async () => {
  const messages = [{ role: "user", content: "say 5 words" }];
  const first = await generateText({ model: provider(model), messages });
  const second = [...messages, ...first.response.messages, { role: "user", content: "say 3 words" }];

  await assert.rejects(
    generateText({ model: provider(model), messages: second }),
    (error) =>
      error.statusCode === 400 &&
      error.data.error.code === "items_not_stored" &&
      error.message.includes("store: false"),
  );
  // The recipe of the documentation, for every turn of a conversation.
  const { text } = await generateText({
    model: provider(model),
    messages: second,
    providerOptions: { openai: { store: false } },
  });
  assert.equal(words(text), 3);
});

test("embeddings come as numbers", async () => {
  const { embeddings, usage } = await embedMany({
    model: provider.embedding("text-embedding-3-small"),
    values: ["Hi", "there"],
  });

  assert.deepEqual(embeddings.map((vector) => vector.length), [1536, 1536]);
  assert.equal(usage.tokens, 2);
});

test("a broken stream raises", { skip: needsProduct }, async () => {
  const errors = [];
  const result = streamText({
    model: provider.chat("broken-stream"),
    prompt: "say 9 words",
    maxRetries: 0,
    onError: ({ error }) => errors.push(error),
  });
  for await (const part of result.fullStream) assert.ok(part);

  assert.equal(errors.length, 1);
});
