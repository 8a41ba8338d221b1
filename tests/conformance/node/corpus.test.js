// openai-node before every scripted upstream: what a program sees is what the corpus says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import OpenAI from "openai";
import { apiKey, baseURL, needsProduct } from "./target.js";

const AT_ONCE = 8;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const hello = [{ role: "user", content: "Hello!" }];

// By endpoint: how it is asked, and what there is to see of an answer, or of a part of one.
const ENDPOINTS = {
  "chat.completions": {
    ask: (body) => client.chat.completions.create({ messages: hello, max_tokens: 2000, ...body }),
    whole: (answer) => answer.choices[0].message.content ?? "",
    part: (chunk) => chunk.choices[0]?.delta.content ?? "",
  },
  completions: {
    ask: (body) => client.completions.create({ prompt: "Hello!", max_tokens: 2000, ...body }),
    whole: (answer) => answer.choices[0].text,
    part: (chunk) => chunk.choices[0]?.text ?? "",
  },
  embeddings: {
    ask: (body) => client.embeddings.create({ input: "Hello!", encoding_format: "float", ...body }),
    whole: (answer) => JSON.stringify(answer.data[0].embedding),
  },
  responses: {
    ask: (body) => client.responses.create({ input: "Hello!", max_output_tokens: 2000, ...body }),
    whole: (answer) => answer.output_text,
    part: (event) => (event.type === "response.output_text.delta" ? event.delta : ""),
  },
};

async function see(row) {
  const { ask, whole, part } = ENDPOINTS[row.endpoint];
  let text = "";
  try {
    const answer = await ask({ model: row.name, ...row.asks, ...(row.stream && { stream: true }) });
    if (!row.stream) return whole(answer);
    for await (const event of answer) {
      text += part(event);
      if (event.type === "response.failed") return `${text}, error`;
    }
  } catch (error) {
    assert.ok(error instanceof OpenAI.APIError, error);
    return error.status === undefined ? `${text}, error` : String(error.status);
  }
  return text;
}

test("a program sees of every scripted upstream what the corpus says", { skip: needsProduct },
  async () => {
    const rows = JSON.parse(readFileSync(process.env.CONFORMANCE_CORPUS, "utf8"));
    const left = [...rows];
    const wrong = {};
    const play = async () => {
      for (let row = left.pop(); row; row = left.pop()) {
        const seen = await see(row);
        if (seen !== row.sees) wrong[row.name] = [seen, "not", row.sees];
      }
    };

    await Promise.all(Array.from({ length: AT_ONCE }, play));

    assert.deepEqual(wrong, {});
    assert.ok(rows.length >= 80);
  });
