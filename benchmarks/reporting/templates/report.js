"use strict";
for (const figure of document.querySelectorAll(".plot")) {
  const named = (name) =>
    [...figure.querySelectorAll("[data-series]")].filter((part) => part.dataset.series === name);
  for (const button of figure.querySelectorAll("[data-toggle]")) {
    const name = button.dataset.toggle;
    const light = (on) => {
      const shown = on && button.getAttribute("aria-pressed") === "true";
      figure.classList.toggle("focus", shown);
      named(name).forEach((part) => part.classList.toggle("lit", shown));
    };
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      named(name).forEach((part) => part.classList.toggle("off", !shown));
      light(shown);
    });
    for (const kind of ["mouseenter", "focus"]) button.addEventListener(kind, () => light(true));
    for (const kind of ["mouseleave", "blur"]) button.addEventListener(kind, () => light(false));
  }
}
