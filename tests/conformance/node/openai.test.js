// openai-node: streaming, tools, structured output, retries, broken streams.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  apiKey, baseURL, brokeKey, client, countingFetch, model, needsBalances, needsProduct, words,
} from "./target.js";

const hello = [{ role: "user", content: "say 5 words" }];
const trip = [{ role: "user", content: "'Oslo' for 3 days" }];
const Forecast = z.object({ city: z.string(), days: z.number().int() });
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Look up the weather.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, days: { type: "integer" } },
      required: ["city", "days"],
      additionalProperties: false,
    },
  },
};

test("the address and the key are all that changes", async () => {
  process.env.OPENAI_BASE_URL = baseURL;
  process.env.OPENAI_API_KEY = apiKey;

  const completion = await new OpenAI().chat.completions.create({ model, messages: hello });

  assert.equal(words(completion.choices[0].message.content), 5);
});

test("models are listed", async () => {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);

  assert.ok(ids.includes(model));
});

test("a streamed chat ends with its usage", async () => {
  const stream = await client.chat.completions.create({
    model, messages: hello, stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }

  assert.equal(words(text), 5);
  assert.equal(usage.completion_tokens, 5);
});

test("its runner calls a tool and comes back with words", async () => {
  const called = [];
  const callback = ({ city, days }) => {
    called.push([city, days]);
    return "Rain";
  };
  const tool = {
    ...weather,
    function: { ...weather.function, function: callback, parse: JSON.parse },
  };

  const runner = client.chat.completions.runTools({ model, messages: trip, tools: [tool] });

  assert.ok(words(await runner.finalContent()) > 1);
  assert.deepEqual(called, [["Oslo", 3]]);
});

test("a streamed tool call is collected", async () => {
  const stream = client.chat.completions.stream({ model, messages: trip, tools: [weather] });

  const completion = await stream.finalChatCompletion();

  const [call] = completion.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Oslo", days: 3 });
});

test("a structured answer is parsed", async () => {
  const completion = await client.chat.completions.parse({
    model, messages: trip, response_format: zodResponseFormat(Forecast, "forecast"),
  });

  assert.deepEqual(completion.choices[0].message.parsed, { city: "Oslo", days: 3 });
});

test("a response streams to its end", async () => {
  const stream = client.responses.stream({ model, input: "say 5 words" });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  const response = await stream.finalResponse();

  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal(words(response.output_text), 5);
});

test("a structured response is parsed", async () => {
  const response = await client.responses.parse({
    model, input: "'Oslo' for 3 days", text: { format: zodTextFormat(Forecast, "forecast") },
  });

  assert.deepEqual(response.output_parsed, { city: "Oslo", days: 3 });
});

test("embeddings come as numbers", async () => {
  const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: "Hi" });

  assert.equal(answer.data[0].embedding.length, 1536);
  assert.ok(Math.abs(Math.hypot(...answer.data[0].embedding) - 1) < 1e-5);
});

test("a wrong key is an authentication error", async () => {
  const stranger = new OpenAI({ baseURL, apiKey: "sk-wrong" });

  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

for (const stream of [false, true]) {
  test(`out of balance is one request, stream: ${stream}`, { skip: needsBalances }, async () => {
    const { sent, fetcher } = countingFetch();
    const broke = new OpenAI({ baseURL, apiKey: brokeKey, fetch: fetcher });

    await assert.rejects(
      broke.chat.completions.create({ model, messages: hello, stream }),
      (error) => error instanceof OpenAI.RateLimitError && error.code === "insufficient_quota",
    );

    assert.deepEqual(sent.map((method) => method.toUpperCase()), ["POST"]);
  });
}

test("a broken stream raises", { skip: needsProduct }, async () => {
  const stream = await client.chat.completions.create({
    model: "broken-stream", messages: hello, stream: true,
  });

  await assert.rejects(async () => {
    for await (const chunk of stream) assert.ok(chunk);
  }, OpenAI.APIError);
});
