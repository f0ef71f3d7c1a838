// The admin's own small helpers: copy buttons, Grafana frames and charts that follow unfold's theme.
(() => {
  const dark = () => document.documentElement.classList.contains("dark");

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      return;
    }
    button.textContent = button.dataset.done;
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches(".pa-filters [data-submit]")) event.target.form.requestSubmit();
  });

  function frames() {
    for (const frame of document.querySelectorAll("iframe[data-panel]")) {
      const url = `${frame.dataset.panel}&theme=${dark() ? "dark" : "light"}`;
      if (frame.getAttribute("src") !== url) frame.setAttribute("src", url);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    frames();
    new MutationObserver(() => {
      frames();
      document.dispatchEvent(new Event("portal:theme"));
    }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  });
})();
