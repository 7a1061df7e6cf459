// The dialogs that ask for what an act needs: an item, a reason.

import { byId, say } from "./dom.js";
import { itemFields, readItem } from "./forms.js";

function ask(dialog, row, read, done) {
  const form = dialog.querySelector("form");
  say(dialog.querySelector(".whose"), `${row.customer_name}, order ${row.order_id.slice(-6)}`);
  form.reset();
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue && done(read()); // then the focus is back where it was
  dialog.querySelector(".close").onclick = () => dialog.close();
  dialog.showModal();
}

export function askForItem(row, done) {
  const dialog = byId("add");
  const item = itemFields();
  item.querySelector(".remove").remove();
  dialog.querySelector(".fields").replaceChildren(item);
  ask(dialog, row, () => readItem(item), done);
  item.querySelector("input").focus();
}

export function askForReason(row, done) {
  const dialog = byId("cancel");
  ask(dialog, row, () => dialog.querySelector("[name=reason]").value.trim(), done);
}
