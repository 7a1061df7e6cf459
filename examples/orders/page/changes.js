// Optimistic changes: what was asked for and is not in the list yet, laid over the list's rows.
//
// A change has `id`, the order's; `apply(row)`, the row as it is to be; `isIn(row)`, whether a row has
// it already; `made`, the row, if the order is new; and `adds`, if it is one of several that each add to
// the order. It ends when the service has accepted it and
// the list shows it, or when it is refused: then the row is again what the list says, with a note.

const MISSING_MS = 5_000;

export class Changes {
  #changes = new Set();
  #refused = new Map();

  add(change) {
    const added = { ...change, doing: "sending …", acceptedAt: null };
    this.#refused.delete(change.id);
    this.#changes.add(added);
    return added;
  }

  accept(change) {
    change.doing = "accepted, not in the list yet";
    change.acceptedAt = performance.now();
  }

  takeBack(change, words) {
    change.refused = true;
    this.#changes.delete(change);
    this.#refused.set(change.id, words);
  }

  /** The changes under way that add to this order and are not in its row. */
  adding(row) {
    return [...this.#changes].filter((each) => each.adds && each.id === row.order_id && !each.isIn(row));
  }

  /** End the changes that these rows show. A new order may have gone to another page at once. */
  settle(rows) {
    const known = new Map(rows.map((row) => [row.order_id, row]));
    for (const change of this.#changes) {
      if (change.acceptedAt === null) continue;
      const row = known.get(change.id);
      const since = performance.now() - change.acceptedAt;
      if (row ? !change.isIn(row) : change.made && since < MISSING_MS) continue;
      this.#changes.delete(change);
      if (row) change.shown(since);
    }
  }

  /** The rows as they are to be; new orders come first, if `belongs` says that they belong here. */
  over(rows, belongs) {
    const known = new Set(rows.map((row) => row.order_id));
    const made = [...this.#changes]
      .filter((each) => each.made && !known.has(each.id) && belongs(each.made))
      .map((each) => each.made);
    return [...made.reverse(), ...rows].map((row) => this.#changed(row));
  }

  #changed(row) {
    let shown = { ...row, refused: this.#refused.get(row.order_id) ?? "", doing: "" };
    for (const change of this.#changes) {
      if (change.id !== row.order_id) continue;
      shown = { ...(change.isIn(row) ? shown : change.apply(shown)), doing: change.doing };
    }
    return shown;
  }
}
