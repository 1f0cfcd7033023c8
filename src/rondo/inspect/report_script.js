// Draws the page's figures from the JSON beside them, in the colours of the screen or of paper.
(function () {
  "use strict";
  var PAPER_WIDTH = 680; // A4 less its margins, in CSS pixels
  var PAPER_SCALE = 0.85; // of the height on a screen
  var twins = JSON.parse(document.getElementById("twins").textContent);
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var coarse = window.matchMedia("(pointer: coarse)");
  var places = Array.prototype.slice.call(document.querySelectorAll(".drawing"));

  var onPaper = false;
  function draw() {
    places.forEach(function (place) {
      var text = document.getElementById(place.id + "-data").textContent;
      if (dark.matches && !onPaper) {
        Object.keys(twins).forEach(function (light) { text = text.split(light).join(twins[light]); });
      }
      var figure = JSON.parse(text);
      figure.layout.width = onPaper ? PAPER_WIDTH : place.clientWidth;
      figure.layout.height = Math.round(place.dataset.height * (onPaper ? PAPER_SCALE : 1));
      place.style.height = figure.layout.height + "px";
      if (coarse.matches) { figure.layout.dragmode = false; }
      Plotly.react(place, figure.data, figure.layout, { displayModeBar: false, showLink: false });
    });
  }

  var waiting, width = window.innerWidth;
  window.addEventListener("resize", function () {
    if (window.innerWidth === width) { return; } // a phone's address bar comes and goes
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(function () { draw(); }, 120);
  });
  dark.addEventListener("change", draw); // printing from a dark screen changes it too
  window.addEventListener("beforeprint", function () { clearTimeout(waiting); onPaper = true; draw(); });
  window.addEventListener("afterprint", function () { onPaper = false; draw(); });
  draw();
})();
