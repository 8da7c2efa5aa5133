// Boards: tiles are put elsewhere by dragging, beside the buttons that do the same; the wall fills the screen on demand.
(() => {
  "use strict";
  let held = null;
  const tileOf = (event) => (event.target instanceof Element ? event.target.closest("[data-editing] [data-tile]") : null);
  document.addEventListener("dragstart", (event) => {
    held = tileOf(event);
    if (held && event.dataTransfer) event.dataTransfer.setData("text/plain", held.dataset.tile);
  });
  document.addEventListener("dragover", (event) => {
    const over = tileOf(event);
    document.querySelectorAll(".tile.over").forEach((one) => one !== over && one.classList.remove("over"));
    if (!held || !over) return;
    event.preventDefault();
    if (over !== held) over.classList.add("over");
  });
  document.addEventListener("drop", (event) => {
    const over = tileOf(event);
    const form = document.getElementById("place");
    if (!held || !over || over === held || !form) return;
    event.preventDefault();
    // dragged forwards it goes behind the tile it is dropped on, backwards before it
    const forwards = held.compareDocumentPosition(over) & Node.DOCUMENT_POSITION_FOLLOWING;
    const before = forwards ? over.nextElementSibling : over;
    form.elements.tile.value = held.dataset.tile;
    form.elements.before.value = before ? before.dataset.tile : "";
    form.requestSubmit();
  });
  document.addEventListener("dragend", () => {
    held = null;
    document.querySelectorAll(".tile.over").forEach((one) => one.classList.remove("over"));
  });
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-fullscreen]")) return;
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen().catch(() => {});
  });
})();
