// The frame's behaviour: keyboard, dialogs, toasts, menus, lists, connection. Pages work without it, only less handily.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const typing = (node) => node.closest("input, textarea, select, [contenteditable]");

  // ---- lists: arrow keys walk over [data-row] entries, Enter follows the first link of the chosen one
  const rows = () => all("[data-row]").filter((row) => row.offsetParent !== null);
  const choose = (row) => {
    all("[data-row][aria-selected]").forEach((other) => other.removeAttribute("aria-selected"));
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    const link = $("a[href]", row) || row;
    link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const list = rows();
    if (!list.length) return false;
    const at = list.findIndex((row) => row.contains(document.activeElement) || row.hasAttribute("aria-selected"));
    choose(list[Math.min(list.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : list.length - 1) : at + by))]);
    return true;
  };

  // ---- keyboard
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.key === "Escape") {
      const menu = target.closest("details[open][data-menu]") || $("details[open][data-menu]");
      if (menu) {
        menu.open = false;
        $("summary", menu).focus();
      } else if (typing(target)) {
        target.blur();
      } else if (!$("dialog[open]")) {
        const up = all(".crumbs a").pop();
        if (up) up.click();
      }
      return;
    }
    if (typing(target) || $("dialog[open]")) return;
    if (event.key === "/") {
      const search = $("[data-search]");
      event.preventDefault();
      if (search) search.focus();
      else if ($(".rail a[href='/residents']")) location.assign("/residents");
    } else if (event.key === "?") {
      event.preventDefault();
      $("#keys")?.showModal();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (target.closest(".map, .scroll, .tabs")) return;
      if (step(event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
    }
  });

  // ---- dialogs, menus, toasts
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    const opener = target.closest("[data-open]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.open);
      if (dialog) {
        event.preventDefault();
        dialog.showModal();
      }
    }
    if (target.closest("[data-close]")) target.closest("dialog")?.close();
    if (target.closest("[data-dismiss]")) target.closest(".toast")?.remove();
    if (target.matches("dialog")) target.close();
    all("details[open][data-menu]").forEach((menu) => {
      if (!menu.contains(target)) menu.open = false;
    });
    if (target.closest("[data-print]")) window.print();
    const stop = target.closest("[data-abort]");
    if (stop) document.getElementById(stop.dataset.abort)?.dispatchEvent(new CustomEvent("htmx:abort"));
  });
  const fade = () =>
    all("#toasts .toast:not([data-timed])").forEach((toast) => {
      toast.dataset.timed = "";
      setTimeout(() => {
        if (!toast.matches(":hover, :focus-within")) toast.remove();
      }, $("form", toast) ? 20000 : 8000);
    });
  const tell = (text) => {
    const shelf = $("#toasts");
    if (!shelf) return;
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.textContent = text;
    shelf.append(toast);
    fade();
  };

  // ---- forms that answer at once, and never twice
  document.addEventListener("change", (event) => {
    const form = event.target instanceof Element ? event.target.closest("form[data-auto]") : null;
    if (form) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 4000);
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // ---- htmx: errors are said, new parts are announced
  const words = document.documentElement.lang.startsWith("zh")
    ? { failed: "没有完成，请重试。", offline: "网络已断开。" }
    : { failed: "That did not work; try again.", offline: "The network is gone." };
  document.addEventListener("htmx:responseError", () => tell(words.failed));
  document.addEventListener("htmx:sendError", () => tell(words.offline));
  document.addEventListener("htmx:beforeRequest", (event) => event.detail.target?.setAttribute?.("aria-busy", "true"));
  document.addEventListener("htmx:afterRequest", (event) => event.detail.target?.removeAttribute?.("aria-busy"));
  document.addEventListener("htmx:afterSettle", fade);

  // ---- connection
  const connection = () => {
    const line = $("#offline");
    if (line) line.hidden = navigator.onLine;
  };
  window.addEventListener("online", connection);
  window.addEventListener("offline", connection);
  connection();
  // ---- on paper every chart has its table
  const opened = [];
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details.twin:not([open])").forEach((twin) => opened.push(twin) && (twin.open = true));
  });
  window.addEventListener("afterprint", () => {
    for (const twin of opened.splice(0)) twin.open = false;
  });

  if ("serviceWorker" in navigator && window.isSecureContext) navigator.serviceWorker.register("/sw.js").catch(() => {});

  // ---- the clock of the wall
  const clock = $("time[data-clock]");
  if (clock) {
    const tick = () => {
      clock.textContent = new Date().toLocaleTimeString(document.documentElement.lang, { timeZone: "Asia/Shanghai", hour12: false });
    };
    tick();
    setInterval(tick, 1000);
  }
  fade();
})();
