// Keys. Ctrl, Alt and Meta are never taken; single letters can be switched off in the list of keys.
import { goTo, isPast, step } from './asof.js';

const $ = (s, r = document) => r.querySelector(s);
const rows = () => [...document.querySelectorAll('[data-list] .row')].filter((e) => e.offsetParent);
let key = null;
let chord = 0;

function pick(row, focus) {
  for (const r of document.querySelectorAll('[data-list] .row[aria-current]')) r.removeAttribute('aria-current');
  if (!row) return;
  row.setAttribute('aria-current', 'true');
  key = row.dataset.key;
  if (!focus) return;
  row.scrollIntoView({ block: 'nearest' });
  // Enter opens what the row is: in a history the moment, whoever else it speaks of; in a list its subject.
  ($('a[data-asof]', row) ?? $('a[data-open]', row) ?? $('a', row) ?? row).focus({ preventScroll: true });
}

function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((r) => r.getAttribute('aria-current') === 'true');
  pick(all[Math.max(0, Math.min(all.length - 1, at + by))], true);
}

document.addEventListener('click', (e) => {
  const row = e.target.closest?.('[data-list] .row');
  if (row) pick(row, false);
});
document.addEventListener('swapped', () => {
  if (key !== null) pick(rows().find((r) => r.dataset.key === key) ?? null, false);
});

const letters = $('#letters');
try { letters.checked = localStorage.getItem('letters') !== 'off'; } catch { /* storage is off */ }
letters?.addEventListener('change', () => {
  try { localStorage.setItem('letters', letters.checked ? 'on' : 'off'); } catch { /* storage is off */ }
});

function typing() {
  const el = document.activeElement;
  return /^(INPUT|TEXTAREA|SELECT)$/.test(el?.tagName) && !/^(range|checkbox)$/.test(el.type);
}

addEventListener('keydown', (e) => {
  if (e.metaKey || e.ctrlKey || e.altKey || $('dialog[open]')) return;
  if (e.key === 'Escape') {
    if (typing()) document.activeElement.blur();
    else if (isPast()) goTo(null);
    return;
  }
  if (typing() || (letters && !letters.checked)) return;
  const second = Date.now() - chord < 900;
  chord = 0;
  const place = { h: '/', q: '/quarantine', r: '/rebuild' }[e.key];
  if (second && place) { location.assign(place); return; }
  // A letter leads to what decides; Enter decides.
  const to = $(`#main [data-to="${CSS.escape(e.key)}"]:not([aria-current])`);
  if (to) {
    e.preventDefault();
    if (to.tagName === 'A') to.click(); else { to.scrollIntoView({ block: 'nearest' }); to.focus(); }
    return;
  }
  switch (e.key) {
    case '/': e.preventDefault(); ($('#q') ?? $('#find'))?.focus(); break;
    case 'g': chord = Date.now(); break;
    case 'j': move(1); break;
    case 'k': move(-1); break;
    case 'o': $('[data-list] .row[aria-current] a[data-open]')?.click(); break;
    case '?': $('#keys')?.showModal(); break;
    case '[': step(-1); break;
    case ']': step(1); break;
  }
});
