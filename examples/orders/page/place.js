// The form that places orders.

import { byId } from "./dom.js";
import { clear, itemFields, numberItems, readItem, refuse } from "./forms.js";
import { wordsOf } from "./commands.js";
import { customerIdOf, money, totalOf } from "./values.js";

const form = byId("place");
const items = byId("items");
const button = form.querySelector("[type=submit]");
let customer = null; // chosen in the list; anybody else is known by name

const readItems = () => [...items.children].map(readItem);

function addItem() {
  items.append(itemFields());
  numberItems(items.children);
  return items.lastElementChild;
}

function showTotal() {
  byId("total").value = money(totalOf(readItems()));
}

function read() {
  const customer_name = form.elements.customer_name.value.trim();
  const known = customer?.customer_name === customer_name;
  return {
    order_id: crypto.randomUUID(), // ours, so that the order can be shown before it is there
    customer_id: known ? customer.customer_id : customerIdOf(customer_name),
    customer_name,
    items: readItems(),
    shipping_address: form.elements.shipping_address.value.trim(),
  };
}

function reset() {
  items.replaceChildren();
  addItem();
  showTotal();
}

/** The next order is for this customer. */
export function orderFor(chosen) {
  customer = chosen;
  form.elements.customer_name.value = chosen.customer_name;
}

/** `place(order)` sends an order, and returns the problem that refused it, or null. */
export function start(place) {
  reset();
  form.addEventListener("input", showTotal);
  byId("more").addEventListener("click", () => addItem().querySelector("input").focus());
  items.addEventListener("click", (event) => {
    if (!event.target.matches(".remove")) return;
    event.target.closest(".item").remove();
    numberItems(items.children);
    showTotal();
    byId("more").focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    clear(form);
    button.ariaDisabled = "true"; // a disabled button would lose the focus
    const problem = await place(read());
    button.ariaDisabled = "false";
    if (problem) return refuse(form, wordsOf(problem), problem.errors);
    reset();
    if (form.contains(document.activeElement) || document.activeElement === document.body) {
      items.querySelector("input").focus();
    }
  });
}
