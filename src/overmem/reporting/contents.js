(function () {
  'use strict';
  var links = Array.prototype.slice.call(document.querySelectorAll('.contents a'));
  if (links.length === 0) { return; }
  var bar = links[0].closest('.contents'), shown = null, waiting = false;
  var parts = links.map(function (link) { return document.getElementById(link.getAttribute('href').slice(1)); });

  // The part that is read: the last one whose heading has passed the upper third of the window.
  function mark() {
    waiting = false;
    var line = window.innerHeight / 3, at = 0;
    parts.forEach(function (part, i) { if (part && part.getBoundingClientRect().top <= line) { at = i; } });
    if (window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2 && window.scrollY > 0) {
      at = links.length - 1;
    }
    if (links[at] === shown) { return; }
    if (shown) { shown.removeAttribute('aria-current'); }
    shown = links[at];
    shown.setAttribute('aria-current', 'true');
    var room = bar.getBoundingClientRect(), place = shown.getBoundingClientRect();
    if (place.left < room.left || place.right > room.right) {
      bar.scrollLeft += place.left - room.left - (room.width - place.width) / 2;
    }
  }

  function soon() {
    if (!waiting) { waiting = true; window.requestAnimationFrame(mark); }
  }
  window.addEventListener('scroll', soon, {passive: true});
  window.addEventListener('resize', soon);
  mark();
})();
