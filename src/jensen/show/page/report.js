"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const style = () => getComputedStyle(document.documentElement);
  // Figures name CSS variables where colours and fonts go, so that they follow the page's light or dark.
  const fill = (value, css) => {
    if (typeof value === "string" && value.startsWith("--")) return css.getPropertyValue(value).trim();
    if (Array.isArray(value)) return value.map((v) => fill(v, css));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, css)]));
    return value;
  };
  // Numbers beside bars need more of a small window.
  const small = matchMedia("(max-width: 40rem)");
  const draw = () => {
    const css = style();
    for (const place of document.querySelectorAll(".plot")) {
      const figure = fill(figures[place.dataset.figure], css);
      const narrow = figure.layout.meta && figure.layout.meta.narrow;
      if (narrow && small.matches) {
        figure.layout.xaxis.range = narrow.range;
        figure.layout.yaxis.ticktext = narrow.ticktext;
      }
      Plotly.react(place, figure.data, figure.layout, { responsive: true, displayModeBar: false });
    }
  };
  if (window.Plotly) {
    draw();
    for (const query of [matchMedia("(prefers-color-scheme: dark)"), small]) query.addEventListener("change", draw);
  }
  // A choice between figures for the same place.
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      button.closest("figure").querySelector(".plot").dataset.figure = button.dataset.show;
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
      draw();
    });
  }
  // A link into a folded part opens it.
  const open = () => {
    const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (part instanceof HTMLDetailsElement) {
      part.open = true;
      part.scrollIntoView({ block: "start" });
    }
  };
  addEventListener("hashchange", open);
  open();
  // Long programs open at the place that matters.
  for (const pane of document.querySelectorAll(".overview, .parts")) {
    const place = pane.querySelector(".lost") || pane.querySelector(".op:not(.constant), details:has(.strip i:not(.constant))");
    if (!place || pane.scrollHeight <= pane.clientHeight) continue;
    pane.scrollTop += place.getBoundingClientRect().top - pane.getBoundingClientRect().top - pane.clientHeight / 3;
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "Selected";
      }
    });
  }
  document.documentElement.dataset.ready = "yes";
})();
