// What keeps people out, as far as a program can see it: a list of faults, empty if there are none.
() => {
  const faults = [];
  const all = [...document.querySelectorAll("body *")].filter((it) => it.checkVisibility());
  const named = (it) => it.ariaLabel || it.title || it.alt || it.textContent.trim()
    || [...(it.labels ?? [])].map((label) => label.textContent.trim()).join("")
    || document.getElementById(it.getAttribute("aria-labelledby"))?.textContent;

  // Names and languages
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  const wantsName = "button, input, select, a, dialog, nav, section, [role=log], [role=search]";
  for (const it of all.filter((it) => it.matches(wantsName))) {
    const own = it.matches("select, input") ? labelOf(it) : named(it);
    if (!own) faults.push(`no name: ${it.localName} ${it.id || it.className}`);
  }
  for (const it of document.querySelectorAll("img:not([alt])")) faults.push(`no alt: ${it.src}`);

  function labelOf(it) {
    const texts = [...(it.labels?.[0]?.childNodes ?? [])].filter((node) => node.nodeType === 3);
    return it.ariaLabel || texts.map((node) => node.data.trim()).join("");
  }

  // Structure
  const ids = [...document.querySelectorAll("[id]")].map((it) => it.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) {
    faults.push(`id ${id} is there twice`);
  }
  for (const it of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const name of ["aria-labelledby", "aria-describedby"]) {
      const id = it.getAttribute(name);
      if (id && !document.getElementById(id)) faults.push(`${name}=${id} is nowhere`);
    }
  }
  const levels = all.filter((it) => /^h[1-6]$/.test(it.localName)).map((it) => Number(it.localName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) faults.push(`h${level} after h${levels[at - 1]}`); });
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (document.querySelector("[tabindex]:not([tabindex='-1'], [tabindex='0'])")) faults.push("an order of focus of its own");

  // Size
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
  for (const it of all.filter((it) => it.matches("button, input, select"))) {
    const { width, height } = it.getBoundingClientRect();
    if (Math.min(width, height) < 24 && !it.matches(".link")) faults.push(`small: ${it.localName} ${it.textContent}`);
  }

  // Contrast of each text to what is behind it
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([red, green, blue]) => [red, green, blue]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((total, value, at) => total + value * [0.2126, 0.7152, 0.0722][at], 0);
  function behind(it) {
    for (let each = it; each; each = each.parentElement) {
      const found = parts(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  }
  const modal = document.querySelector("dialog[open]");
  for (const it of all) {
    const text = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || it.matches(":disabled, option") || (modal && !modal.contains(it)) || it.matches(".skip")) continue;
    const [one, other] = [light(parts(getComputedStyle(it).color)), light(behind(it))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${it.localName} ${it.textContent.slice(0, 40)}`);
  }
  return faults;
}
