// Small helpers for the page. Text is only ever set as text: nothing here can make markup of it.

export const byId = (id) => document.getElementById(id);

/** A copy of a template's one element. */
export const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Set a text only where it differs, so that screen readers are not told twice. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
  target.hidden = !text;
}

/** Make `parent` have exactly these children, moving as few as can be, and keep the focus. */
export function arrange(parent, children) {
  const focused = document.activeElement;
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus();
}
