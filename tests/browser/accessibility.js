// The checks of a page that need no library: names, labels, order of headings, contrast, size of targets. Returns sentences.
() => {
  const found = [];
  const visible = (el) => el.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && el.getClientRects().length > 0;
  const show = (el) => `<${el.tagName.toLowerCase()} class="${el.getAttribute("class") ?? ""}"> ${(el.textContent ?? "").trim().slice(0, 40)}`;
  const name = (el) =>
    (el.getAttribute("aria-label") || (el.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim() || el.textContent.trim() || el.title || "").trim();

  if (!document.documentElement.lang) found.push("the page says no language");
  if (!document.title) found.push("the page has no title");
  if (document.querySelectorAll("h1").length !== 1) found.push(`the page has ${document.querySelectorAll("h1").length} h1`);
  if (document.querySelectorAll("main").length !== 1) found.push("the page has not one main");
  let level = 1;
  for (const heading of document.querySelectorAll("main :is(h1,h2,h3,h4)")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) found.push(`heading level skipped: ${show(heading)}`);
    level = next;
  }
  const ids = new Map();
  for (const el of document.querySelectorAll("[id]")) ids.set(el.id, (ids.get(el.id) ?? 0) + 1);
  for (const [id, count] of ids) if (count > 1) found.push(`id twice: ${id}`);
  for (const el of document.querySelectorAll("[aria-describedby],[aria-labelledby]")) {
    for (const attribute of ["aria-describedby", "aria-labelledby"]) {
      for (const id of (el.getAttribute(attribute) ?? "").split(/\s+/).filter(Boolean)) if (!document.getElementById(id)) found.push(`${attribute} leads nowhere: ${id}`);
    }
  }
  for (const el of document.querySelectorAll("button, a[href], summary, [role=button]")) if (visible(el) && !name(el)) found.push(`no name: ${show(el)}`);
  for (const el of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (visible(el) && !el.labels?.length && !el.getAttribute("aria-label")) found.push(`no label: ${el.name}`);
  }
  for (const el of document.querySelectorAll("[role=img]")) if (!name(el)) found.push(`picture without words: ${show(el)}`);
  for (const table of document.querySelectorAll("table")) if (!table.querySelector("th[scope]")) found.push("table without headed columns");
  for (const list of document.querySelectorAll("ul, ol")) for (const child of list.children) if (child.tagName !== "LI") found.push(`list with a ${child.tagName}`);

  // Contrast as WCAG 2 counts it: 4.5 for text, 3 for large text.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
  const background = (el) => {
    const layers = [];
    for (let at = el; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const luminance = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || judged.has(el) || !visible(el) || el.closest("svg, script, noscript, [disabled], [aria-disabled=true], .sr-only, .js-plotly-plot")) continue;
    judged.add(el);
    const style = getComputedStyle(el);
    const back = background(el);
    const text = luminance(over(rgba(style.color), back));
    const ground = luminance(back);
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${show(el)}`);
  }
  // WCAG 2.2, 2.5.8: 24 × 24 px for what is pressed, unless it stands within a sentence.
  for (const el of document.querySelectorAll("button, summary, select, input:not([type=hidden], [type=checkbox], [type=radio]), a.btn, a.nav-link, a.tab, a.segment")) {
    if (!visible(el)) continue;
    const box = el.getBoundingClientRect();
    if (box.width < 24 || box.height < 20) found.push(`small target ${Math.round(box.width)}×${Math.round(box.height)}: ${show(el)}`);
  }
  return [...new Set(found)];
}
