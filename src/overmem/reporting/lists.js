(function () {
  'use strict';
  var FIRST = 15, PAGE = 50, MOST_WORDS = 1500;

  function make(tag, name, text) {
    var element = document.createElement(tag);
    if (name) { element.className = name; }
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  // The words of a text with the blanks after each, and which of them the other text has in the same order.
  function words(text) { return text.match(/\S+\s*|\s+/g) || []; }

  function common(a, b) {
    var i, j, start = 0, same = [a.map(function () { return false; }), b.map(function () { return false; })];
    function bare(word) { return word.trim(); }
    var x = a.map(bare), y = b.map(bare);
    while (start < x.length && start < y.length && x[start] === y[start]) { same[0][start] = same[1][start] = true; start += 1; }
    var m = x.length, n = y.length;
    while (m > start && n > start && x[m - 1] === y[n - 1]) { m -= 1; n -= 1; same[0][m] = same[1][n] = true; }
    if ((m - start) * (n - start) > MOST_WORDS * MOST_WORDS) { return null; }
    var wide = n - start + 1, longest = new Uint16Array((m - start + 1) * wide);
    for (i = m - 1; i >= start; i -= 1) {
      for (j = n - 1; j >= start; j -= 1) {
        var here = (i - start) * wide + j - start;
        longest[here] = x[i] === y[j] ? longest[here + wide + 1] + 1 : Math.max(longest[here + wide], longest[here + 1]);
      }
    }
    i = start; j = start;
    while (i < m && j < n) {
      var at = (i - start) * wide + j - start;
      if (x[i] === y[j]) { same[0][i] = same[1][j] = true; i += 1; j += 1; }
      else if (longest[at + wide] >= longest[at + 1]) { i += 1; } else { j += 1; }
    }
    return same;
  }

  // A text with the words marked that another text lacks; whole where the two are too long to compare.
  function marked(text, other) {
    var block = make('p', 'solution'), own = words(text), same = common(own, words(other));
    block.dir = 'auto';
    if (same === null) { block.textContent = text; return block; }
    for (var i = 0; i < own.length;) {
      var from = i, kept = same[0][i];
      while (i < own.length && same[0][i] === kept) { i += 1; }
      var run = own.slice(from, i).join('');
      if (kept) { block.append(run); } else { block.append(make('mark', '', run)); }
    }
    return block;
  }

  function plain(text) { var block = make('p', 'solution', text); block.dir = 'auto'; return block; }
  function figure(value) { return value === null || value === undefined ? '\u2013' : value.toFixed(3); }
  function isRight(value) { return value !== null && value !== undefined && value >= 0.5; }
  function grade(value) {
    if (value === null || value === undefined) { return ['?', 'not graded', 'none']; }
    return isRight(value) ? ['\u2713', 'right', 'yes'] : ['\u2717', 'wrong', 'no'];
  }
  function badge(value) {
    var found = grade(value), element = make('span', 'grade ' + found[2]);
    var sign = make('span', '', found[0]);
    sign.setAttribute('aria-hidden', 'true');
    element.append(sign, make('span', 'visually-hidden', found[1]));
    return element;
  }
  function arrow() {
    var element = make('span', 'arrow'), sign = make('span', '', '\u2192');
    sign.setAttribute('aria-hidden', 'true');
    element.append(sign, make('span', 'visually-hidden', ', then '));
    return element;
  }
  function pane(title, extra, block) {
    var part = make('div', 'pane'), head = make('h3', '', title);
    extra.forEach(function (item) { head.append(' ', item); });
    part.append(head, block);
    return part;
  }
  function answerOf(row, place) { var at = row.at[place]; return at === null ? null : row.texts[at]; }

  var kinds = {
    val: {
      anchor: 'problem-',
      fields: function (row) { return [row.id, row.prompt, row.reference].concat(row.texts); },
      keep: {
        all: function () { return true; },
        lost: function (row, a, b) { return isRight(row.right[a]) && row.right[b] !== null && !isRight(row.right[b]); },
        gained: function (row, a, b) { return row.right[a] !== null && !isRight(row.right[a]) && isRight(row.right[b]); },
        wrong: function (row, a, b) { return [a, b].every(function (c) { return row.right[c] !== null && !isRight(row.right[c]); }); },
        right: function (row, a, b) { return isRight(row.right[a]) && isRight(row.right[b]); },
        verbatim: function (row, a, b) { return row.at[b] !== null && row.same[row.at[b]]; },
        out: function (row) { return row.out; }
      },
      order: {
        loss: function (row, a, b) { return row.nll[b]; },
        rise: function (row, a, b) { return row.nll[a] === null || row.nll[b] === null ? null : row.nll[b] - row.nll[a]; }
      },
      line: function (row, a, b) {
        var marks = make('span', 'marks');
        marks.append(badge(row.right[a]), arrow(), badge(row.right[b]));
        return [marks, make('span', 'nll', 'NLL ' + figure(row.nll[a]) + ' \u2192 ' + figure(row.nll[b]))];
      },
      open: function (row, a, b, models) {
        var parts = make('div', 'panes'), second = answerOf(row, b);
        parts.append(pane('Reference', row.answer ? [make('span', 'muted', 'answer ' + row.answer)] : [],
          second === null ? plain(row.reference) : marked(row.reference, second)));
        [a, b].forEach(function (place, i) {
          if (i && a === b) { return; }
          var text = answerOf(row, place);
          var said = text === null ? plain('no answer was kept') : text ? marked(text, row.reference) : plain('(empty)');
          parts.append(pane(models[place], [badge(row.right[place]), make('span', 'muted', 'NLL ' + figure(row.nll[place]))], said));
        });
        var run = make('ol', 'course');
        run.setAttribute('aria-label', 'Answers of every model');
        models.forEach(function (name, place) {
          var item = make('li', ''), mark = badge(row.right[place]);
          item.title = name + ': ' + grade(row.right[place])[1] + ', NLL ' + figure(row.nll[place]);
          item.append(make('span', 'muted', name.replace(/^checkpoint-/, '')), ' ', mark);
          run.append(item);
        });
        var notes = [];
        if (row.overlap) { notes.push(row.overlap + (row.out ? '. It is left out of every figure.' : '.')); }
        if (row.group) { notes.push('Group: ' + row.group + '.'); }
        return [parts, run].concat(notes.length ? [make('p', 'counts', notes.join(' '))] : []);
      }
    },
    train: {
      anchor: 'row-',
      fields: function (row) { return [row.id, row.prompt, row.solution]; },
      keep: {
        all: function () { return true; },
        memorized: function (row, a, b) { return row.excess[b] > 0; },
        verbatim: function (row, a, b) { return row.exact[b] === true; },
        became: function (row, a, b) { return row.exact[b] === true && row.exact[a] === false; }
      },
      order: { loss: function (row, a, b) { return row.nll[b] === null ? null : -row.nll[b]; } },
      line: function (row, a, b) {
        var marks = make('span', 'marks', row.exact[b] ? 'word for word' : '');
        var excess = row.excess[b] === null ? '' : 'memorized ' + figure(row.excess[b]);
        return [make('span', 'nll', excess), marks];
      },
      open: function (row, a, b, models) {
        var block = make('p', 'solution'), table = make('table', ''), head = make('tr', '');
        block.dir = 'auto';
        if (row.cut) {
          block.append(make('span', 'given', row.solution.slice(0, row.cut[0])),
            make('mark', '', row.solution.slice(row.cut[0], row.cut[1])),
            make('span', 'given', row.solution.slice(row.cut[1])));
        } else { block.textContent = row.solution; }
        table.append(make('caption', 'visually-hidden', 'What each checkpoint knows of ' + row.id));
        var continued = row.same.some(Boolean) ? ['Tokens as in the solution'] : [];
        ['Checkpoint', 'Memorized', 'NLL'].concat(continued).forEach(function (name, i) {
          var cell = make('th', i ? 'number' : '', name);
          cell.scope = 'col';
          head.append(cell);
        });
        table.append(make('thead', ''), make('tbody', ''));
        table.tHead.append(head);
        models.forEach(function (name, place) {
          var line = make('tr', ''), same = row.same[place], first = make('th', '', name);
          first.scope = 'row';
          line.append(first, make('td', 'number', figure(row.excess[place])), make('td', 'number', figure(row.nll[place])));
          if (continued.length) { line.append(make('td', 'number', same ? same[0] + ' of ' + same[1] : '\u2013')); }
          table.tBodies[0].append(line);
        });
        return [pane('Solution', [], block), table];
      }
    }
  };

  function unpack(text) {
    var raw = atob(text), bytes = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i += 1) { bytes[i] = raw.charCodeAt(i); }
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
  }

  function List(box) {
    var name = box.getAttribute('data-list'), kind = kinds[name], form = box.querySelector('form');
    var items = box.querySelector('.items'), found = box.querySelector('.found'), more = box.querySelector('.more');
    var data = null, now = [], shown = 0, places = new Map(), reading = null;

    function value(field) { return form.elements[field] ? form.elements[field].value : ''; }
    function pair() { return [Number(value('first')), Number(value('second'))]; }

    // Reads the texts once, when a reader comes near.
    function ready() {
      if (reading === null) {
        reading = unpack(document.getElementById(name + '-data').textContent).then(function (got) {
          data = got;
          data.rows.forEach(function (row, i) {
            places.set(row.id, i);
            row.found = kind.fields(row).join('\n').toLowerCase();
          });
          if (form.elements.group) { groups(); }
          update();
        });
      }
      return reading;
    }

    function groups() {
      var sizes = new Map();
      data.rows.forEach(function (row) { if (row.group) { sizes.set(row.group, (sizes.get(row.group) || 0) + 1); } });
      Array.from(sizes.keys()).sort(function (a, b) { return sizes.get(b) - sizes.get(a); }).forEach(function (group) {
        var option = make('option', '', group + ' (' + sizes.get(group) + ')');
        option.value = group;
        form.elements.group.append(option);
      });
    }

    function update() {
      var asked = value('search').toLowerCase().split(/\s+/).filter(Boolean), ends = pair(), group = value('group');
      var keep = kind.keep[value('show')] || kind.keep.all, order = kind.order[value('order')];
      now = data.rows.filter(function (row) {
        return keep(row, ends[0], ends[1]) && (!group || row.group === group) &&
          asked.every(function (word) { return row.found.indexOf(word) >= 0; });
      });
      if (order) {
        now = now.map(function (row, i) { return [order(row, ends[0], ends[1]), i, row]; }).sort(function (x, y) {
          if (x[0] === y[0]) { return x[1] - y[1]; }
          if (x[0] === null || x[0] === undefined) { return 1; }
          if (y[0] === null || y[0] === undefined) { return -1; }
          return y[0] - x[0];
        }).map(function (entry) { return entry[2]; });
      }
      items.textContent = '';
      shown = 0;
      found.textContent = now.length.toLocaleString('en') + ' of ' + data.rows.length.toLocaleString('en') + ' ' + box.getAttribute('data-what');
      show(FIRST);
    }

    function show(count) {
      now.slice(shown, shown + count).forEach(function (row) { items.append(entry(row)); });
      shown = Math.min(now.length, shown + count);
      more.hidden = shown >= now.length;
      more.textContent = 'Show ' + Math.min(PAGE, now.length - shown) + ' more';
    }

    function entry(row) {
      var item = make('li', ''), box = make('details', ''), line = make('summary', ''), ends = pair();
      item.id = kind.anchor + row.id;
      line.append(make('span', 'id', row.id));
      kind.line(row, ends[0], ends[1]).forEach(function (part) { line.append(' ', part); });
      var start = make('span', 'start', row.prompt.slice(0, 160).replace(/\s+/g, ' '));
      start.dir = 'auto';
      line.append(' ', start);
      box.append(line);
      box.addEventListener('toggle', function () { if (box.open && box.children.length === 1) { fill(box, row, ends); } });
      item.append(box);
      return item;
    }

    function fill(box, row, ends) {
      var body = make('div', 'body'), link = make('a', '', 'Link to this'), prompt = make('p', 'question', row.prompt);
      prompt.dir = 'auto';
      prompt.tabIndex = 0;
      link.href = '#' + kind.anchor + encodeURIComponent(row.id);
      body.append(prompt);
      kind.open(row, ends[0], ends[1], data.models).forEach(function (part) { body.append(part); });
      var last = make('p', 'counts');
      last.append(link);
      body.append(last);
      box.append(body);
    }

    // Shows one row whatever is chosen: what a link leads to.
    function go(id) {
      return ready().then(function () {
        if (!places.has(id)) { return; }
        var row = data.rows[places.get(id)];
        if (now.indexOf(row) < 0) { form.reset(); update(); }
        while (shown <= now.indexOf(row)) { show(PAGE); }
        var item = items.children[now.indexOf(row)], box = item.firstElementChild;
        if (!box.open) { box.open = true; if (box.children.length === 1) { fill(box, row, pair()); } }
        item.scrollIntoView({block: 'start'});
        box.firstElementChild.focus({preventScroll: true});
      });
    }

    function move(event) {
      var lines = Array.prototype.slice.call(items.querySelectorAll('summary')), at = lines.indexOf(event.target);
      var step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
      if (at < 0 || !step) { return; }
      if (at + step >= lines.length && !more.hidden) { show(PAGE); lines = Array.prototype.slice.call(items.querySelectorAll('summary')); }
      if (lines[at + step]) { event.preventDefault(); lines[at + step].focus(); }
    }

    box.hidden = false;
    form.addEventListener('submit', function (event) { event.preventDefault(); });
    form.addEventListener('input', function () { if (data === null) { ready(); } else { update(); } });
    more.addEventListener('click', function () {
      var first = shown;
      show(PAGE);
      items.children[first].querySelector('summary').focus();
    });
    items.addEventListener('keydown', move);
    new IntersectionObserver(function (entries, watch) {
      if (entries.some(function (entry) { return entry.isIntersecting; })) { watch.disconnect(); ready(); }
    }, {rootMargin: '800px'}).observe(box);
    this.anchor = kind.anchor;
    this.go = go;
  }

  var lists = Array.prototype.map.call(document.querySelectorAll('[data-list]'), function (box) { return new List(box); });
  function follow() {
    var hash;
    try { hash = decodeURIComponent(window.location.hash.slice(1)); } catch (error) { return; }
    lists.forEach(function (list) {
      if (hash.indexOf(list.anchor) === 0) { list.go(hash.slice(list.anchor.length)); }
    });
  }
  window.addEventListener('hashchange', follow);
  follow();
})();
