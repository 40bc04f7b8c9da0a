
(function () {
  'use strict';
  var data = JSON.parse(document.getElementById('figure-data').textContent);
  var boxes = Array.prototype.slice.call(document.querySelectorAll('[data-figure]'));
  var dark = window.matchMedia('(prefers-color-scheme: dark)');
  var places = ['first', 'second'];
  var selects = places.map(function (place) { return document.getElementById('choose-' + place); });
  var printing = false;

  // A copy of a figure's part with its roles (`@ink`) filled in.
  function filled(value, roles) {
    if (Array.isArray(value)) { return value.map(function (item) { return filled(item, roles); }); }
    if (value !== null && typeof value === 'object') {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = filled(value[key], roles); });
      return copy;
    }
    return typeof value === 'string' && value.charAt(0) === '@' && value in roles ? roles[value] : value;
  }

  function set(target, path, value) {
    var keys = path.split('.'), last = keys.pop();
    keys.forEach(function (key) { target = target[key] = target[key] || {}; });
    target[last] = value;
  }

  function chosen() {
    var values = selects.map(function (select) { return select === null ? '0' : select.value; });
    return values[0] === values[1] ? values.slice(0, 1) : values;
  }

  function exhibit(figure, theme, compact) {
    var shared = data.themes[theme].all;
    var layout = filled(figure.layout, shared), traces = filled(figure.base, shared);
    if (compact) {
      Object.keys(figure.compact).forEach(function (path) {
        set(layout, path, filled(figure.compact[path], shared));
      });
    }
    chosen().forEach(function (place, i) {
      var roles = Object.assign({}, shared, data.themes[theme][places[i]]);
      traces = traces.concat(filled(figure.series[place] || [], roles));
    });
    return {data: traces, layout: layout};
  }

  function draw(box) {
    var name = box.getAttribute('data-figure');
    var width = printing ? Number(box.getAttribute('data-print')) : box.clientWidth;
    var theme = dark.matches && !printing ? 'dark' : 'light';
    var whole = name === 'dynamics', compact = width < Number(box.getAttribute('data-narrow'));
    var state = [theme, width, whole ? '' : chosen().join()].join(' ');
    if (!width || box.shownAs === state) { return; }
    box.shownAs = state;
    var figure = whole ? data.dynamics[theme + (compact ? '-compact' : '-wide')]
                       : exhibit(data.figures[name], theme, compact);
    var layout = Object.assign({}, figure.layout, {width: width});
    if (printing) {
      layout.height = width < 400 ? 190 : whole ? 400 : layout.height * Number(box.getAttribute('data-squeeze') || 1);
    }
    box.style.minHeight = layout.height + 'px';
    Plotly.react(box, figure.data, layout, {displayModeBar: false});
  }

  // Only what is near the window is drawn at once, so that a long page opens fast.
  var near = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      entry.target.isNear = entry.isIntersecting;
      if (entry.isIntersecting) { draw(entry.target); }
    });
  }, {rootMargin: '600px'});
  var resized = new ResizeObserver(function (entries) {
    entries.forEach(function (entry) { if (entry.target.isNear) { draw(entry.target); } });
  });
  function again() { boxes.forEach(function (box) { if (box.isNear) { draw(box); } }); }
  function all(starts) { return function () { printing = starts; boxes.forEach(draw); }; }

  function choose() {
    var now = chosen(), pairs = [now.join('-'), now.slice().reverse().join('-')];
    document.querySelectorAll('[data-of]').forEach(function (element) {
      var at = now.indexOf(element.getAttribute('data-of'));
      element.hidden = at < 0;
      if (at >= 0) { element.className = places[at]; }
    });
    document.querySelectorAll('[data-pair]').forEach(function (element) {
      element.hidden = now.length < 2 || pairs.indexOf(element.getAttribute('data-pair')) < 0;
    });
    again();
  }

  boxes.forEach(function (box) {
    var figure = data.figures[box.getAttribute('data-figure')];
    if (figure) {
      box.style.minHeight = ((box.clientWidth < Number(box.getAttribute('data-narrow')) && figure.compact.height) || figure.layout.height) + 'px';
    }
    near.observe(box);
    resized.observe(box);
  });
  selects.forEach(function (select) {
    if (select !== null) {
      select.form.hidden = false;
      select.addEventListener('change', choose);
      select.form.addEventListener('submit', function (event) { event.preventDefault(); });
    }
  });
  dark.addEventListener('change', again);
  window.addEventListener('beforeprint', all(true));
  window.addEventListener('afterprint', all(false));
})();
