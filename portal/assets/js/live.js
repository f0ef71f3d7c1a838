// The overview's numbers: htmx fetches the fragment every 15 s. Hidden tabs rest, and a lost server is said, not hidden.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches("[data-live]") && document.hidden) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.target;
  if (!target.matches("[data-live]")) return;
  // Signed out, or no longer a member: show the page that says so.
  if (event.detail.xhr.status === 404 || event.detail.xhr.responseURL.includes("/accounts/")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
const stale = (is) => {
  for (const note of document.querySelectorAll("[data-stale]")) note.hidden = !is;
};
document.addEventListener("htmx:sendError", () => stale(true));
document.addEventListener("htmx:responseError", () => stale(true));
document.addEventListener("htmx:afterSwap", () => stale(false));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && window.htmx) for (const part of document.querySelectorAll("[data-live]")) window.htmx.trigger(part, "refresh");
});
