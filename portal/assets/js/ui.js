// Small comforts. Everything here has a plain counterpart: links lead to pages, forms post, menus are <details>.

const on = (type, selector, act) =>
  document.addEventListener(type, (event) => {
    const target = event.target instanceof Element ? event.target.closest(selector) : null;
    if (target) act(target, event);
  });

// Menus close on Escape and when the reader clicks elsewhere.
const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (menu !== except) menu.open = false;
};
document.addEventListener("click", (event) => closeMenus(event.target.closest("details[data-menu]")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details[data-menu][open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// Dialogs: a link with data-dialog leads to a page; here the same page's form opens in a <dialog>.
on("click", "a[data-dialog]", async (link, event) => {
  const dialog = document.getElementById("dialog");
  if (!dialog || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { headers: { "X-Dialog": "1" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    dialog.querySelector("#dialog-body").innerHTML = await answer.text();
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.showModal();
    dialog.querySelector("input:not([type=hidden]), select, textarea, button")?.focus();
  } catch {
    location.assign(link.href);
  }
});
on("click", "dialog [data-close]", (button, event) => {
  event.preventDefault();
  button.closest("dialog").close();
});
on("click", "dialog", (dialog, event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
});

// Copy to the clipboard, and say so.
on("click", "[data-copy]", async (button) => {
  const label = button.querySelector("span") ?? button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const code = button.parentElement.querySelector("code");
    if (!code) return;
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  label.textContent = button.dataset.copied;
  setTimeout(() => (label.textContent = before), 1600);
});

// Toasts: good news leaves by itself, unless someone is reading it; bad news waits to be dismissed.
const fade = (toast) => setTimeout(() => (toast.matches(":hover, :focus-within") ? fade(toast) : toast.remove()), 6000);
for (const toast of document.querySelectorAll('[data-toast="success"], [data-toast="info"]')) fade(toast);
on("click", "[data-dismiss]", (button) => button.closest(".toast, .alert").remove());

// A form marked data-once is sent once, however often its button is pressed.
on("submit", "form[data-once]", (form, event) => {
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Filters apply as soon as they are changed; their button is for readers without scripts.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.matches("[data-auto]") && form.checkValidity()) form.requestSubmit();
});
