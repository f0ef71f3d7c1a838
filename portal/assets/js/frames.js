// Grafana panels (<iframe data-panel="url">) in the portal's theme: the one that the reader chose, else the system's.
// Where Grafana does not answer (data-health names what to ask), the page says so and shows the portal's own charts.
const dark = matchMedia("(prefers-color-scheme: dark)");
const panels = document.querySelector("[data-panels]");
const silent = document.querySelector("[data-panels-silent]");
const PATIENCE = 8000;
const AGAIN = 60000;

function show() {
  if (panels?.hidden) return;
  const theme = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  for (const frame of document.querySelectorAll("iframe[data-panel]")) {
    const url = `${frame.dataset.panel}&theme=${theme}`;
    if (frame.getAttribute("src") !== url) frame.setAttribute("src", url);
  }
}

async function answers() {
  try {
    return (await fetch(panels.dataset.health, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) })).ok;
  } catch {
    return false;
  }
}

async function look() {
  if (document.hidden) return;
  const alive = await answers();
  silent.hidden = alive;
  panels.hidden = !alive;
  if (alive) show();
  else document.querySelector("[data-own-charts]")?.dispatchEvent(new CustomEvent("own-charts"));
}

document.addEventListener("portal:theme", show);
dark.addEventListener("change", show);
if (panels) {
  look();
  setInterval(look, AGAIN);
  document.addEventListener("visibilitychange", look);
} else {
  show();
}
