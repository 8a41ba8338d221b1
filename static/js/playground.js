// The playground: streams answers of one or two models, on a key that this page alone holds.
(() => {
  const form = document.querySelector("[data-playground]");
  if (!form) return;
  const find = (name) => form.querySelector(`[data-${name}]`);
  const MOST_PICTURE_BYTES = 4 * 1024 * 1024;
  const RECEIPT_TRIES = 8;

  // The secret stays in this closure: not in the page, not in a store.
  let lent = null;
  let lanes = [];
  let running = null;

  class Refusal extends Error {}

  // What is said stands in the page, in its language; names in braces are filled in.
  const words = Object.fromEntries(
    [...find("words").content.children].map((each) => [each.dataset.word, each.textContent]),
  );
  const say = (name, values = {}) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const figure = (number) => number.toLocaleString(document.documentElement.lang);

  const key = async () => {
    if (lent && Date.parse(lent.expires_at) > Date.now() + 60_000) return lent.secret;
    const answer = await fetch(form.dataset.keyUrl, {
      method: "POST",
      headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refusal(told.error ?? say("reload"));
    lent = told;
    return lent.secret;
  };

  const make = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  };

  const trouble = (text) => {
    find("trouble").textContent = text;
    find("trouble").hidden = !text;
  };

  // --- Lanes: one per model, each with its own turns ---

  const chosen = () =>
    [find("model"), find("other")].filter((select) => select.value).map((select) => select.selectedOptions[0]);

  const openLanes = () => {
    const names = chosen().map((option) => option.value);
    if (lanes.length === names.length && lanes.every((lane, at) => lane.model === names[at])) return;
    find("lanes").replaceChildren();
    lanes = chosen().map((option) => {
      const element = make("section", "playground-lane card");
      element.append(make("h2", "mono", option.value));
      element.setAttribute("aria-label", option.value);
      // Long answers scroll by keyboard as well, and on a phone so do the lanes.
      element.tabIndex = 0;
      element.addEventListener("focus", () => {
        element.scrollIntoView({ block: "nearest", inline: "start" });
      });
      find("lanes").append(element);
      return {
        model: option.value,
        rates: { in: Number(option.dataset.in), out: Number(option.dataset.out) },
        turns: [],
        element,
      };
    });
  };

  // Keeps the end of a lane in view, unless its reader has scrolled up.
  const follow = ({ element }, change) => {
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 32;
    change();
    if (isAtEnd) element.scrollTop = element.scrollHeight;
  };

  // --- What is sent ---

  const tools = () => {
    const text = find("tools").value.trim();
    if (!text) return undefined;
    let list;
    try {
      list = JSON.parse(text);
    } catch (error) {
      throw new Refusal(say("noJson", { fault: error.message }));
    }
    if (!Array.isArray(list)) throw new Refusal(say("noList"));
    return list;
  };

  const asData = (file) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.addEventListener("load", () => resolve(reader.result));
      reader.addEventListener("error", () => reject(new Refusal(say("unread", { file: file.name }))));
      reader.readAsDataURL(file);
    });

  const content = async () => {
    const text = find("say").value.trim();
    const files = [...find("pictures").files];
    if (files.reduce((sum, file) => sum + file.size, 0) > MOST_PICTURE_BYTES) {
      throw new Refusal(say("tooLarge"));
    }
    if (!text && !files.length) throw new Refusal(say("empty"));
    if (!files.length) return text;
    const pictures = await Promise.all(files.map(asData));
    return [{ type: "text", text }, ...pictures.map((url) => ({ type: "image_url", image_url: { url } }))];
  };

  const maxTokens = () => {
    const input = form.elements.max_tokens;
    if (!input.value.trim()) return undefined;
    const number = window.readWholeNumber(input.value);
    if (number) return number;
    find("settings").open = true;
    throw new Refusal(say("noNumber", { name: input.labels[0].textContent }));
  };

  const body = (lane) => {
    const system = find("system").value.trim();
    const temperature = form.elements.temperature.value;
    const most = maxTokens();
    return {
      model: lane.model,
      messages: [...(system ? [{ role: "system", content: system }] : []), ...lane.turns],
      ...(temperature && { temperature: Number(temperature) }),
      ...(most && { max_tokens: most }),
      ...(tools() && { tools: tools() }),
      stream: true,
      stream_options: { include_usage: true },
    };
  };

  // --- What comes back ---

  // Events of a stream, each with its data; bytes may be cut anywhere.
  async function* events(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const line = part.split("\n").find((each) => each.startsWith("data: "));
        if (line && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
      }
    }
  }

  const credits = (millicredits) => figure(Math.ceil(millicredits / 1000));

  // Four characters are about a token; what is charged is counted by the provider.
  const runningCost = (lane, sent, text) =>
    credits(((JSON.stringify(sent.messages).length * lane.rates.in) + text.length * lane.rates.out) / 4);

  const charge = async (requestId, secret) => {
    for (let tries = 0; tries < RECEIPT_TRIES; tries += 1) {
      const answer = await fetch(`${form.dataset.api}/usage/${requestId}`, {
        headers: { Authorization: `Bearer ${secret}` },
      });
      const receipt = answer.ok ? await answer.json() : {};
      if (receipt.status === "booked") return receipt.charged_credits;
      await new Promise((resolve) => setTimeout(resolve, 500 + 250 * tries));
    }
    return null;
  };

  const showCharge = async (cost, requestId, secret) => {
    const charged = await charge(requestId, secret);
    if (charged === null) {
      cost.textContent = say("later");
      return;
    }
    const link = make("a", "", say("receipt"));
    link.href = form.dataset.receiptUrl.replace("REQUEST", encodeURIComponent(requestId));
    cost.replaceChildren(`${say("charged", { credits: figure(charged) })} · `, link);
  };

  const readAnswer = async (lane, sent, answer, { shown, cost }) => {
    let text = "";
    const calls = [];
    for await (const event of events(answer.body)) {
      if (event.error) throw new Refusal(event.error.message);
      const delta = event.choices?.[0]?.delta ?? {};
      text += delta.content ?? "";
      for (const call of delta.tool_calls ?? []) {
        calls[call.index] ??= { name: "", arguments: "" };
        calls[call.index].name += call.function?.name ?? "";
        calls[call.index].arguments += call.function?.arguments ?? "";
      }
      const called = calls.map((call) => `\n→ ${call.name}(${call.arguments})`).join("");
      follow(lane, () => {
        shown.textContent = text + called;
        cost.textContent = say("running", { credits: runningCost(lane, sent, text) });
      });
    }
    return shown.textContent;
  };

  const ask = async (lane, said, signal) => {
    lane.turns.push({ role: "user", content: said });
    const sent = body(lane);
    const mine = make("div", "playground-turn playground-mine");
    mine.textContent = typeof said === "string" ? said : `${said[0].text}\n${say("pictures", { count: said.length - 1 })}`;
    const theirs = make("div", "playground-turn");
    const shown = make("div", "playground-words");
    const cost = make("p", "faint numeric", say("sending"));
    theirs.append(shown, cost);
    lane.element.append(mine, theirs);
    lane.element.scrollTop = lane.element.scrollHeight;
    let secret;
    let requestId;
    try {
      secret = await key();
      const answer = await fetch(`${form.dataset.api}/chat/completions`, {
        method: "POST",
        headers: { Authorization: `Bearer ${secret}`, "Content-Type": "application/json" },
        body: JSON.stringify(sent),
        signal,
      });
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        throw new Refusal(told.error?.message ?? say("answered", { status: answer.status }));
      }
      requestId = answer.headers.get("x-request-id");
      const text = await readAnswer(lane, sent, answer, { shown, cost });
      lane.turns.push({ role: "assistant", content: text });
    } catch (error) {
      if (error.name === "AbortError") {
        lane.turns.push({ role: "assistant", content: shown.textContent || "…" });
      } else {
        lane.turns.pop();
        theirs.append(make("p", "playground-fault", error instanceof Refusal ? error.message : say("broke")));
      }
      cost.textContent = "";
    }
    if (requestId) await showCharge(cost, requestId, secret);
  };

  const setRunning = (controller) => {
    running = controller;
    find("send").disabled = Boolean(controller);
    find("stop").hidden = !controller;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    trouble("");
    try {
      const said = await content();
      tools();
      maxTokens();
      openLanes();
      const controller = new AbortController();
      setRunning(controller);
      // One key for both, and not one for each.
      await key();
      find("say").value = "";
      find("pictures").value = "";
      await Promise.all(lanes.map((lane) => ask(lane, said, controller.signal)));
    } catch (error) {
      trouble(error instanceof Refusal ? error.message : say("unsent"));
    } finally {
      setRunning(null);
      find("say").focus();
    }
  });

  find("say").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  find("stop").addEventListener("click", () => running?.abort());
  find("clear").addEventListener("click", () => {
    running?.abort();
    lanes = [];
    find("lanes").replaceChildren();
    find("say").focus();
  });

  const showChosen = () => {
    find("chosen").textContent = chosen().map((option) => option.value).join(" · ");
  };
  find("settings").addEventListener("change", showChosen);
  form.elements.max_tokens.addEventListener("change", (event) => {
    const number = window.readWholeNumber(event.target.value);
    if (number) event.target.value = figure(number);
  });
  showChosen();

  // --- View code ---

  find("code").addEventListener("toggle", () => {
    try {
      trouble("");
      const said = find("say").value.trim();
      const lane = lanes[0] ?? { model: find("model").value, turns: [] };
      const turns = said ? [...lane.turns, { role: "user", content: said }] : lane.turns;
      const sample = body({ model: lane.model, turns });
      for (const [language, write] of Object.entries(window.playgroundCode)) {
        form.querySelector(`[data-language=${language}]`).textContent = write(form.dataset.base, sample);
      }
    } catch (error) {
      trouble(error.message);
    }
  });
})();
