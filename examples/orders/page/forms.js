// Forms: the items in them, and refusals beside the fields that they are about.

import { byId, copyOf, element, say } from "./dom.js";

/** Fields of one item. A product that is known offers its price. */
export function itemFields() {
  const made = copyOf("item");
  const [product, price] = ["product_id", "unit_price"].map((name) => fieldOf(made, name));
  let offered = "";
  product.addEventListener("input", () => {
    const known = [...byId("products").options].find((each) => each.value === product.value);
    if (price.value === offered) price.value = offered = known?.textContent ?? "";
  });
  return made;
}

const fieldOf = (item, name) => item.querySelector(`[data-field="${name}"]`);

export function readItem(item) {
  const text = (name) => fieldOf(item, name).value.trim();
  return {
    product_id: text("product_id"),
    quantity: Number(text("quantity")),
    unit_price: text("unit_price"),
    description: text("description"),
  };
}

/** Name the fields of all items as the service does in its problems: `items.0.quantity`. */
export function numberItems(items) {
  [...items].forEach((item, at) => {
    item.ariaLabel = `Item ${at + 1}`;
    for (const field of item.querySelectorAll("[data-field]")) {
      field.name = `items.${at}.${field.dataset.field}`;
    }
    item.querySelector(".remove").hidden = items.length === 1;
  });
}

/** Show a refusal: what is about a field beside it, anything else above the button. */
export function refuse(form, words, errors = []) {
  const shown = errors.map(({ field, detail }) => mark(form.elements[field], detail)).filter(Boolean);
  say(form.querySelector(".problem"), shown.length ? "" : words);
  shown[0]?.focus();
}

export function clear(form) {
  say(form.querySelector(".problem"), "");
  for (const found of form.querySelectorAll("small.error")) found.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

function mark(field, detail) {
  if (!field) return null;
  const id = `problem-${field.name}`;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.closest("label").after(element("small", { id, className: "error", textContent: detail }));
  return field;
}
