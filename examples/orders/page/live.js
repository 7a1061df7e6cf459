// Live queries: an answer now, and again whenever it changes, as server-sent events.

const AGAIN_MS = 1_000;

/**
 * Watch a query. `on.answer` gets each answer; `on.state` gets "live", "stale" or "lost", with the
 * problem if the service named one. Returns a function that ends it. A browser allows a server six
 * connections for all of its tabs, so a hidden page gives its own up and comes back for a new answer.
 */
export function watch(path, on) {
  let source = null;
  let timer = 0;

  function open() {
    close();
    source = new EventSource(path);
    source.addEventListener("answer", (event) => {
      on.state("live");
      on.answer(JSON.parse(event.data));
    });
    source.addEventListener("stale", () => on.state("stale"));
    source.addEventListener("problem", (event) => again(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      on.state("lost"); // a lost connection is made anew by the browser; a refusal is for us
      if (source?.readyState === EventSource.CLOSED) again();
    });
  }

  function again(problem) {
    close();
    on.state("lost", problem);
    timer = setTimeout(open, AGAIN_MS);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function look() {
    if (document.hidden) close();
    else if (!source) open();
  }

  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    close();
  };
}
