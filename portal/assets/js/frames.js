// Grafana panels (<iframe data-panel="url">) in the portal's theme: the one that the reader chose, else the system's.
const dark = matchMedia("(prefers-color-scheme: dark)");

function show() {
  const theme = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  for (const frame of document.querySelectorAll("iframe[data-panel]")) {
    const url = `${frame.dataset.panel}&theme=${theme}`;
    if (frame.getAttribute("src") !== url) frame.setAttribute("src", url);
  }
}

document.addEventListener("portal:theme", show);
dark.addEventListener("change", show);
show();
