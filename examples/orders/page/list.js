// The list of orders: one element for each, kept while the order is in the list.

import { arrange, byId, copyOf, say } from "./dom.js";
import { count, money, time } from "./values.js";

const list = byId("orders");

export class List {
  #elements = new Map();
  #rows = new Map();

  /** `act(name, row)` is told which button of which order was pressed. */
  constructor(act) {
    list.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      const row = button && this.#rows.get(button.closest("li").dataset.id);
      if (row) act(button.dataset.act, row);
    });
  }

  /** `moved` says that these rows follow others of the same query: what is new in them is marked. */
  show(rows, moved) {
    const focused = list.contains(document.activeElement) && document.activeElement;
    const elements = new Map(rows.map((row) => [row.order_id, this.#elementOf(row)]));
    for (const row of rows) {
      const item = elements.get(row.order_id);
      if (moved && this.#differs(row)) mark(item);
      this.#fill(item, row);
    }
    this.#elements = elements;
    this.#rows = new Map(rows.map((row) => [row.order_id, row]));
    arrange(list, [...elements.values()]);
    if (focused) keepFocus(focused);
  }

  #differs(row) {
    const known = this.#rows.get(row.order_id);
    return known?.status !== row.status || known.total_amount !== row.total_amount;
  }

  #elementOf(row) {
    const known = this.#elements.get(row.order_id);
    if (known) return known;
    const made = copyOf("order");
    made.dataset.id = row.order_id;
    return made;
  }

  #fill(item, row) {
    const find = (selector) => item.querySelector(selector);
    item.dataset.status = row.status;
    item.setAttribute("aria-busy", Boolean(row.doing));
    say(find(".who button"), row.customer_name);
    say(find("code"), row.order_id.slice(-6));
    say(find(".lines"), count(row.item_count, "line"));
    say(find("time"), time(row.created_at));
    find("time").dateTime = row.created_at;
    say(find(".amount"), money(row.total_amount));
    say(find(".status"), row.status);
    say(find(".doing"), row.doing || (row.refused && `Refused: ${row.refused}`));
    find(".doing").classList.toggle("refused", !row.doing);
    find(".acts").hidden = row.status !== "open" || row.unsent;
    for (const button of find(".acts").children) {
      button.ariaLabel = `${button.textContent}: ${row.customer_name}, order ${row.order_id.slice(-6)}`;
    }
  }
}

/** Who works by keyboard must not fall out of the list when a button or an order goes. */
function keepFocus(focused) {
  if (document.activeElement === focused && focused.checkVisibility()) return;
  const item = focused.closest("li");
  (item.isConnected ? item : byId("orders-title")).focus();
}

function mark(item) {
  item.classList.remove("moved");
  void item.offsetWidth; // so that the animation begins anew
  item.classList.add("moved");
}
