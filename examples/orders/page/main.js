// The page: what is looked at, what is done, and where the two meet.

import { Changes } from "./changes.js";
import { dispatch, wordsOf } from "./commands.js";
import { askForItem, askForReason } from "./dialogs.js";
import { byId, say } from "./dom.js";
import { List } from "./list.js";
import { watch } from "./live.js";
import * as log from "./log.js";
import * as place from "./place.js";
import { count, money, sum, totalOf } from "./values.js";

const PAGE_SIZE = 20;
const NOTES = {
  stale: "The list is behind: what was done a moment ago may be missing here. It catches up by itself.",
  lost: "The connection is lost. This is what was known last; trying again …",
};
const NAMES = { loading: "Loading", live: "Live", stale: "Behind", lost: "Reconnecting" };

const changes = new Changes();
const list = new List(act);
const filters = byId("filters");
const asked = new URLSearchParams(location.search); // what is looked at; a reload looks at it again
let answer = null;
let moved = false; // what is shown follows an earlier answer to the same query
let states = { orders: "loading" };
let unwatchOrders = () => {};
let unwatchCustomer = () => {};

// What is looked at

function watchOrders() {
  const [sort_by, sort_order] = (asked.get("sort") ?? "").split(".");
  const wanted = { q: asked.get("q"), status: asked.get("status"), customer_id: asked.get("customer"),
    page: asked.get("page"), sort_by, sort_order, page_size: PAGE_SIZE };
  const given = Object.entries(wanted).filter(([, value]) => value);
  history.replaceState(null, "", asked.size ? `?${asked}` : "/");
  byId("orders").ariaBusy = "true";
  moved = false;
  unwatchOrders();
  unwatchOrders = watch(`/orders/search/events?${new URLSearchParams(given)}`, {
    answer(found) {
      answer = found;
      byId("orders").ariaBusy = "false";
      show();
      moved = true;
    },
    state: (state, problem) => showState("orders", state, problem),
  });
}

function watchCustomer() {
  const id = asked.get("customer");
  unwatchCustomer();
  byId("customer").hidden = true;
  delete states.customer;
  if (!id) return;
  unwatchCustomer = watch(`/customers/${encodeURIComponent(id)}/events`, {
    answer: showCustomer,
    state: (state, problem) => showState("customer", state, problem),
  });
}

function look(changed) {
  for (const [name, value] of Object.entries({ page: "", ...changed })) {
    if (value) asked.set(name, value);
    else asked.delete(name);
  }
  watchOrders();
  if ("customer" in changed) watchCustomer();
}

// What is shown

function belongs(order) {
  const elsewhere = ["q", "sort", "page"].some((name) => asked.has(name));
  const status = asked.get("status") ?? order.status;
  const customer = asked.get("customer") ?? order.customer_id;
  return !elsewhere && status === order.status && customer === order.customer_id;
}

function show() {
  if (!answer) return;
  changes.settle(answer.items);
  const rows = changes.over(answer.items, belongs);
  list.show(rows, moved);
  const filtered = asked.has("q") || asked.has("status");
  say(byId("empty"), rows.length ? "" : filtered ? "Nothing is found." : "No orders yet: place the first one.");
  showPages();
}

function showPages() {
  const { page, total, total_pages } = answer;
  byId("pages").hidden = total_pages <= 1 && page === 1;
  byId("previous").disabled = page <= 1;
  byId("next").disabled = page >= total_pages;
  say(byId("where"), `Page ${page} of ${Math.max(1, total_pages)}, ${count(total, "order")}`);
}

function showCustomer(customer) {
  byId("customer").hidden = false;
  say(byId("customer-name"), customer.customer_name);
  for (const each of byId("customer").querySelectorAll("[data-of]")) {
    const value = customer[each.dataset.of];
    say(each, each.dataset.of === "total_spent" ? money(value) : String(value));
  }
}

function showState(what, state, problem) {
  states = { ...states, [what]: state };
  const worst = ["lost", "stale", "loading", "live"].find((each) => Object.values(states).includes(each));
  byId("live").dataset.state = worst;
  say(byId("live"), NAMES[worst]);
  say(byId("note"), problem ? wordsOf(problem) : (NOTES[worst] ?? ""));
}

// What is done

async function submit(words, change, ...request) {
  const entry = log.begin(words);
  const added = changes.add({ ...change, shown: entry.shown });
  show();
  const problem = await dispatch(...request, entry.wait);
  if (problem) {
    changes.takeBack(added, wordsOf(problem));
    entry.refuse(wordsOf(problem));
  } else {
    changes.accept(added);
    entry.accept();
  }
  show();
  return problem;
}

function act(name, row) {
  const path = `/orders/${row.order_id}`;
  const whose = `${row.customer_name}, order ${row.order_id.slice(-6)}`;
  const status = (wanted) => ({
    id: row.order_id,
    apply: (shown) => ({ ...shown, status: wanted }),
    isIn: (found) => found.status === wanted,
  });
  const acts = {
    ship: () => submit(`Ship: ${whose}`, status("shipped"), "POST", `${path}/ship`, null),
    cancel: () => askForReason(row, (reason) => {
      const query = reason ? `?${new URLSearchParams({ reason })}` : "";
      submit(`Cancel: ${whose}`, status("cancelled"), "DELETE", path + query, null);
    }),
    add: () => askForItem(row, (item) => addItem(row, item, whose)),
    customer: () => {
      place.orderFor(row);
      look({ customer: row.customer_id });
      byId("orders-title").focus();
    },
  };
  acts[name]();
}

function addItem(row, item, whose) {
  const listed = answer.items.find((each) => each.order_id === row.order_id) ?? row;
  const before = changes.adding(listed); // those of them that are refused add nothing
  const expected = () => listed.item_count + before.filter((each) => !each.refused).length;
  const change = {
    id: row.order_id,
    adds: true,
    apply: (shown) => ({
      ...shown,
      item_count: shown.item_count + 1,
      total_amount: sum(shown.total_amount, totalOf([item])),
    }),
    isIn: (found) => found.item_count > expected(),
  };
  submit(`Add ${item.product_id}: ${whose}`, change, "POST", `/orders/${row.order_id}/items`, item);
}

function placeOrder(order) {
  const made = {
    order_id: order.order_id,
    customer_id: order.customer_id,
    customer_name: order.customer_name,
    status: "open",
    total_amount: totalOf(order.items),
    item_count: order.items.length,
    created_at: new Date().toISOString(),
    unsent: true, // there is nothing to add to yet, or to ship
  };
  const change = { id: order.order_id, made, apply: (row) => row, isIn: (row) => !row.unsent };
  return submit(`Order for ${order.customer_name}`, change, "POST", "/orders", order);
}

function start() {
  for (const field of filters.elements) if (field.name) field.value = asked.get(field.name) ?? "";
  let typing = 0;
  filters.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => look(Object.fromEntries(new FormData(filters))), 150);
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  byId("everybody").addEventListener("click", () => {
    look({ customer: "" });
    byId("orders-title").focus();
  });
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  place.start(placeOrder);
  watchOrders();
  watchCustomer();
}

function turn(by) {
  const page = answer.page + by;
  look({ page: page > 1 ? String(page) : "" });
  byId("orders-title").focus();
}

start();
