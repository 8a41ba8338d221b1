// What the tests call, by environment.
import OpenAI from "openai";
import { createOpenAI } from "@ai-sdk/openai";

export const baseURL = process.env.CONFORMANCE_BASE_URL;
export const apiKey = process.env.CONFORMANCE_API_KEY;
// Empty where the API under test has no balances.
export const brokeKey = process.env.CONFORMANCE_BROKE_API_KEY ?? "";
export const needsBalances = brokeKey ? false : "the API under test has no balances";
export const needsProduct = brokeKey ? false : "the API under test is an upstream";
export const model = "gpt-4o";

export const client = new OpenAI({ baseURL, apiKey });
export const provider = createOpenAI({ baseURL, apiKey });

// A fetch that counts the requests it sends.
export function countingFetch() {
  const sent = [];
  const fetcher = (url, options) => {
    sent.push(options?.method ?? "GET");
    return fetch(url, options);
  };
  return { sent, fetcher };
}

export const words = (text) => text.trim().split(/\s+/).length;
