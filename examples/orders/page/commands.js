// Commands: what the page wants done. Each has a key, under which it takes effect at most once.

const AGAIN = new Set([408, 429, 502, 503, 504]);
const GIVE_UP_MS = 120_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Send a command until it is answered. If an answer is lost, nobody here knows whether the command
 * took effect; under the same key it is safe to send it again, also after the service was away.
 * Returns what refused it, a problem, or null; `waiting` is called before each repetition.
 */
export async function dispatch(method, path, body, waiting) {
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  if (body) headers["Content-Type"] = "application/json";
  const request = { method, headers, body: body && JSON.stringify(body) };
  const until = performance.now() + GIVE_UP_MS;
  for (let wait = 250; performance.now() < until; wait = Math.min(2 * wait, 2_000)) {
    const answer = await fetch(path, request).catch(() => null);
    if (answer?.ok) return null;
    if (answer && !AGAIN.has(answer.status)) return problemOf(answer);
    waiting();
    await pause(wait);
  }
  return { type: "", detail: "The service does not answer: nobody knows yet whether it was done." };
}

async function problemOf(answer) {
  const found = await answer.json().catch(() => null);
  return found ?? { type: "", detail: `The service answered with ${answer.status}.` };
}

const REFUSALS = {
  "order-not-found": "There is no such order.",
  "order-already-exists": "There is such an order already.",
  "order-already-shipped": "It has been shipped in the meantime.",
  "order-already-cancelled": "It has been cancelled in the meantime.",
  "customer-not-found": "There is no such customer.",
  "internal-error": "The service failed. Its log has more about it.",
};

/** A problem as a sentence for the user. */
export function wordsOf(problem) {
  const words = REFUSALS[problem.type.replace("urn:problem:", "")] ?? problem.detail;
  return words.charAt(0).toUpperCase() + words.slice(1);
}
