// As of: the slider, steps from record to record, and links that carry a moment, all answered in place.
import { load } from './swap.js';

const range = () => document.getElementById('asof');
let dragging = false;
let timer = 0;
// Where the newest step leads: rapid keys step on from there, not from what is still shown.
let heading = null;

const spell = (ms) => new Date(ms).toISOString().replace('.000Z', 'Z');

function address(moment) {
  const u = new URL(location.href);
  u.hash = '';
  if (moment === null) u.searchParams.delete('as_of');
  else u.searchParams.set('as_of', spell(moment));
  return u;
}

/** Shows the page as of `moment` (milliseconds), or now (null). The address carries it. */
export async function goTo(moment, keep = '') {
  const url = address(moment);
  heading = { moment };
  history.replaceState(null, '', url.pathname + url.search.replace(/%3A/g, ':'));
  try {
    if (await load(url, { keep })) heading = null;
  } catch {
    location.assign(url);
  }
}

/** The record before (-1) or after (1) the moment that is shown or on its way. */
export function step(by) {
  const r = range();
  if (!r) return;
  const records = r.dataset.steps ? r.dataset.steps.split(' ').map(Number) : [];
  const shown = r.dataset.at === undefined ? null : Number(r.dataset.at);
  const at = heading ? heading.moment : shown;
  if (by < 0) {
    // The last record is what now shows, so the step back from now leads to the one before it.
    const before = at === null ? records.slice(0, -1) : records.filter((t) => t < at);
    if (before.length) goTo(before[before.length - 1]);
  } else if (at !== null) {
    const next = records.find((t) => t > at);
    goTo(next === undefined || next === records[records.length - 1] ? null : next);
  }
}

export const isPast = () => document.getElementById('main')?.hasAttribute('data-past') ?? false;

function slide(r, keep) {
  const v = Number(r.value);
  goTo(v >= Number(r.max) ? null : v, keep);
}

document.addEventListener('input', (e) => {
  if (e.target.id !== 'asof') return;
  dragging = true;
  clearTimeout(timer);
  timer = setTimeout(() => slide(e.target, 'strip'), 60);
});
document.addEventListener('change', (e) => {
  if (e.target.id !== 'asof') return;
  dragging = false;
  clearTimeout(timer);
  slide(e.target, '');
});
document.addEventListener('keydown', (e) => {
  if (e.target.id !== 'asof' || e.metaKey || e.ctrlKey || e.altKey) return;
  const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[e.key];
  if (!by) return;
  e.preventDefault();
  step(by);
});
document.addEventListener('click', (e) => {
  const a = e.target.closest?.('a[data-asof]');
  if (!a || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || e.button !== 0) return;
  e.preventDefault();
  const moment = new URL(a.href).searchParams.get('as_of');
  goTo(moment === null ? null : Date.parse(moment));
});
addEventListener('popstate', () => location.reload());

export const busy = () => dragging || heading !== null;
