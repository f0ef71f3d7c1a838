// Charts: plotly.js is fetched when the first chart comes into view, and drawn in the page's own theme.
// A chart's JSON names colours by token; here they become the colours of the present theme, and again when it changes.

let loading;
const drawn = new Set();
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** The present value of a design token: "ink-2" → "rgb(76, 76, 85)". */
function token(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** The same colour, partly transparent. */
function faded(name, alpha) {
  return token(name).replace(/^rgb\(([^)]+)\)$/, `rgba($1, ${alpha})`);
}

function load(url) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  loading ??= new Promise((resolve, reject) => {
    // plotly.js brings <style> elements for maps that we never draw, and the page's policy refuses them with a console
    // error each. While it loads, it is handed inert elements instead.
    const create = document.createElement;
    document.createElement = function (name, ...rest) {
      return create.call(document, String(name).toLowerCase() === "style" ? "template" : name, ...rest);
    };
    const script = create.call(document, "script");
    const restore = (then) => () => {
      document.createElement = create;
      then(window.Plotly);
    };
    script.onload = restore(resolve);
    script.onerror = restore(() => reject(new Error("plotly")));
    script.src = url;
    document.head.append(script);
  });
  return loading;
}

function traces(config, box) {
  const bars = config.kind === "bar" || config.kind === "hbar";
  const cornerradius = config.kind === "bar" && box.clientWidth / config.x.length < 20 ? 1 : 3; // narrow bars are no pills
  return config.series.map((series) => {
    const color = token(series.color);
    const base = { name: series.name, customdata: series.text, hovertemplate: `%{customdata}<extra>${escape(series.name)}</extra>` };
    if (config.kind === "hbar") {
      return { ...base, type: "bar", orientation: "h", y: config.labels, x: series.values, marker: { color, cornerradius } };
    }
    if (bars && series.style === "solid") {
      return { ...base, type: "bar", x: config.x, y: series.values, marker: { color, cornerradius } };
    }
    const line = { color, width: 2, shape: config.step ? "hv" : "linear" };
    const trace = { ...base, type: "scatter", mode: "lines", x: config.x, y: series.values, line, connectgaps: false };
    if (series.style === "dotted") trace.line = { ...line, dash: "dot" };
    if (series.style === "band-low") Object.assign(trace, { line: { width: 0 }, hoverinfo: "skip", hovertemplate: null });
    if (series.style === "band-high") {
      Object.assign(trace, { line: { width: 0 }, fill: "tonexty", fillcolor: faded(series.color, 0.14), hoverinfo: "skip", hovertemplate: null });
    }
    if (config.kind === "area" && series.style === "solid") {
      Object.assign(trace, { fill: config.stacked ? "tonexty" : "tozeroy", fillcolor: faded(series.color, 0.1), stackgroup: config.stacked ? "one" : undefined });
    }
    if (series.values.filter((value) => value !== null).length < 2) Object.assign(trace, { mode: "markers", marker: { color, size: 7 } });
    return trace;
  });
}

const escape = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);

/** About six labels, the first and the last among them, in the page's own wording. */
function ticks(config, width) {
  const count = config.x.length;
  const room = Math.max(2, Math.floor(width / 84));
  const step = Math.max(1, Math.ceil(count / room));
  const at = config.x.map((_, index) => index).filter((index) => index % step === 0);
  return { tickmode: "array", tickvals: at.map((index) => config.x[index]), ticktext: at.map((index) => (config.ticks ?? config.labels)[index]) };
}

/** The largest value that is drawn: below 1,000, "0.5" says what "500m" would not. */
function largest(config) {
  return Math.max(0, ...(config.series ?? []).flatMap((series) => (series.values ?? []).map((value) => Math.abs(Number(value)) || 0)));
}

function layout(config, box) {
  const muted = token("ink-3");
  const horizontal = config.kind === "hbar";
  const values = { gridcolor: token("grid"), zeroline: true, zerolinecolor: token("line-strong"), zerolinewidth: 1, tickprefix: config.prefix, ticksuffix: config.suffix, tickformat: largest(config) < 1000 ? "~g" : "~s", nticks: 5, rangemode: "tozero", fixedrange: true, automargin: true, tickcolor: "rgba(0,0,0,0)", ticklen: 6 };
  const names = { showgrid: false, zeroline: false, fixedrange: true, automargin: true, type: "category", tickcolor: "rgba(0,0,0,0)", ticklen: 4, tickangle: 0 };
  return {
    autosize: true,
    height: box.clientHeight,
    margin: { l: 8, r: 8, t: 12, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "Inter, system-ui, sans-serif", size: 12, color: muted },
    barmode: config.barmode || "stack",
    bargap: config.x.length > 40 ? 0.12 : 0.28,
    showlegend: false,
    hovermode: horizontal ? "closest" : "x unified",
    dragmode: false,
    hoverlabel: { bgcolor: token("raised"), bordercolor: token("line-strong"), font: { family: "Inter, system-ui, sans-serif", size: 12, color: token("ink") }, align: "left", namelength: 32 },
    xaxis: horizontal ? values : { ...names, ...ticks(config, box.clientWidth), unifiedhovertitle: { text: "%{x}" } },
    yaxis: horizontal ? { ...names, autorange: "reversed" } : values,
    shapes: config.marks.map((mark) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: mark.value, y1: mark.value, line: { color: token(mark.color), width: 1.25, dash: "dash" } })),
    annotations: config.marks.map((mark) => ({ xref: "paper", x: 0, y: mark.value, xanchor: "left", yanchor: "bottom", showarrow: false, text: escape(mark.label), font: { size: 11, color: token(mark.color) } })),
  };
}

async function draw(box) {
  const source = document.getElementById(box.dataset.chart);
  const config = JSON.parse((source.content ?? source).textContent);
  // x are positions; what a person reads, on the axis and in the hover box, are the labels
  config.ticks ??= config.labels;
  if (config.kind !== "hbar") config.x = unique(config.labels);
  try {
    const plotly = await load(box.dataset.plotly);
    if (plotly.setPlotConfig) plotly.setPlotConfig({ notifyOnLogging: 0 });
    await plotly.react(box, traces(config, box), layout(config, box), { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false, showAxisDragHandles: false });
    box.classList.add("chart-ready");
    drawn.add(box);
  } catch (error) {
    box.querySelector(".chart-wait")?.replaceChildren("The chart could not be loaded. The table below has the same numbers.");
    console.warn("chart", error.message);
  }
}

/** Hours repeat when clocks go back; a category axis needs different names. */
function unique(labels) {
  const seen = new Map();
  return labels.map((label) => {
    const count = seen.get(label) ?? 0;
    seen.set(label, count + 1);
    return label + "\u200b".repeat(count);
  });
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  },
  { rootMargin: "200px" },
);
const watch = (root) => {
  for (const box of root.querySelectorAll("[data-chart]")) watcher.observe(box);
};
watch(document);
document.addEventListener("htmx:load", (event) => watch(event.target.parentElement ?? event.target)); // what htmx brought in

const redraw = () => drawn.forEach((box) => (box.isConnected ? draw(box) : drawn.delete(box)));
document.addEventListener("portal:theme", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let settled;
addEventListener("resize", () => {
  clearTimeout(settled);
  settled = setTimeout(redraw, 150);
});
