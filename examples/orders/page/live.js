// Live queries: an answer now, and again whenever it changes, as server-sent events.

const SOON_MS = 1_000;
const LATE_MS = 15_000;
const QUIET_MS = 37_500; // two heartbeats and a half: nobody is there any more

/**
 * Watch a query. `on.answer` gets each answer; `on.state` gets "live", "stale" or "lost", with the
 * problem if the service named one. Returns a function that ends it. A browser allows a server six
 * connections for all of its tabs, so a hidden page gives its own up and comes back for a new answer:
 * until that is there it is "loading" again.
 */
export function watch(path, on) {
  let source = null;
  let timer = 0;
  let silence = 0;
  let wait = SOON_MS;

  function open() {
    close();
    const opened = (source = new EventSource(path));
    for (const said of ["open", "answer", "stale", "heartbeat"]) opened.addEventListener(said, listen);
    listen();
    opened.addEventListener("answer", (event) => {
      wait = SOON_MS;
      on.state("live");
      on.answer(JSON.parse(event.data));
    });
    opened.addEventListener("stale", () => on.state("stale"));
    opened.addEventListener("problem", (event) => again(JSON.parse(event.data)));
    opened.addEventListener("error", async () => {
      if (opened.readyState !== EventSource.CLOSED) return on.state("lost"); // the browser goes on
      const problem = await problemOf(path);
      if (opened === source) again(problem);
    });
  }

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      on.state("lost");
      open();
    }, QUIET_MS);
  }

  function again(problem) {
    close();
    on.state("lost", problem);
    timer = setTimeout(open, wait);
    wait = Math.min(2 * wait, LATE_MS);
  }

  function close() {
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
    source = null;
  }

  function look() {
    if (document.hidden) return close();
    if (source) return;
    on.state("loading");
    open();
  }

  document.addEventListener("visibilitychange", look);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", look);
    close();
  };
}

/** Why there are no events: an EventSource does not tell, the query itself does. */
async function problemOf(path) {
  const answer = await fetch(path.replace("/events", "")).catch(() => null);
  return answer && !answer.ok ? answer.json().catch(() => null) : null;
}
