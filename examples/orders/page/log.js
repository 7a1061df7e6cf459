// What happened: each command, what became of it, and when the list showed it.

import { byId, element, say } from "./dom.js";

const KEPT = 8;
const list = byId("log");

const rounded = (ms) => (ms < 1_000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1_000).toFixed(1)} s`);

/** Write down a command. Returns what tells how it goes on. */
export function begin(words) {
  const began = performance.now();
  const outcome = element("span", { textContent: "sending …" });
  const entry = element("li", { className: "sending" }, element("b", { textContent: words }), " ", outcome);
  list.querySelector(".none")?.remove();
  list.prepend(entry);
  while (list.children.length > KEPT) list.lastElementChild.remove();

  function become(kind, text) {
    entry.className = kind;
    say(outcome, text);
  }
  return {
    wait: () => become("waiting", "the service does not answer, trying again …"),
    refuse: (why) => become("refused", `refused: ${why}`),
    accept: () => become("accepted", `accepted after ${rounded(performance.now() - began)}`),
    shown: (ms) => become("shown", `${outcome.textContent}, in the list ${rounded(ms)} later`),
  };
}
