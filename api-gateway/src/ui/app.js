// The page: signs in, lists sessions, shows QR codes as they change, sends texts, shows what arrives.
// Comes in: what a person types, and the gateway's REST API and Socket.IO. Goes out: text nodes only, never HTML from data.
// The key stays in this page's memory: not in the address, not in storage.
'use strict';

const MAX_LINES = 500;
const REFRESH_MS = 3000;
const AGAIN_MS = 500;
const $ = (selector, root = document) => root.querySelector(selector);
const cards = new Map();
/** What became of messages whose send has not been answered yet: message id → status. */
const early = new Map();
let base = location.origin;
let key = '';
let socket = null;
let refreshing = 0;
let lost = false;

$('#base').value = base;

/** Calls the API; a refusal is an Error with the gateway's own sentence. */
async function call(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { 'X-API-Key': key, ...(body ? { 'Content-Type': 'application/json' } : {}) },
    body: body && JSON.stringify(body),
    cache: 'no-store',
  }).catch(() => {
    throw new Error(`The gateway at ${base} cannot be reached.`);
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The gateway answered ${response.status}.`);
  return answer;
}

function say(error) {
  const alert = $('#alert');
  alert.textContent = error ? error.message : '';
  alert.hidden = !error;
}

/** Runs what a person asked for: one at a time per button, and says what went wrong. */
function act(button, work) {
  button.disabled = true;
  say(null);
  return work()
    .catch(say)
    .finally(() => {
      button.disabled = false;
    });
}

const onSubmit = (form, work) =>
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    act($('button', form), work);
  });

onSubmit($('#sign-in'), async () => {
  signOut();
  base = new URL($('#base').value || location.origin).origin;
  key = $('#key').value.trim();
  await refresh();
  $('#who').textContent = 'Signed in';
  $('#create').hidden = false;
  listen();
  refreshing = setInterval(pulse, REFRESH_MS);
});

onSubmit($('#create'), async () => {
  const id = $('#new-id').value.trim();
  await call('POST', '/api/sessions', id ? { id } : {});
  $('#new-id').value = '';
  await refresh();
});

function signOut() {
  clearInterval(refreshing);
  socket?.disconnect();
  socket = null;
  for (const card of cards.values()) card.element.remove();
  cards.clear();
  $('#who').textContent = 'Not signed in';
  $('#create').hidden = true;
  $('#empty').hidden = true;
}

/** Keeps the page up to date; while that fails it says so, and shows no code that may have passed. */
async function pulse() {
  try {
    await refresh();
    if (lost) say(null);
    lost = false;
  } catch (error) {
    lost = true;
    say(error);
    cards.forEach(hidePicture);
  }
}

/** Brings the list up to date: adds, removes and changes cards, and joins the rooms of new ones. */
async function refresh() {
  const asked = key;
  const { items } = await call('GET', '/api/sessions');
  if (key !== asked) return;
  const ids = new Set(items.map((session) => session.id));
  for (const [id, card] of cards) {
    if (!ids.has(id)) {
      card.element.remove();
      cards.delete(id);
    }
  }
  for (const session of items) {
    if (!cards.has(session.id)) {
      cards.set(session.id, makeCard(session.id));
      join(session.id);
    }
    show(session.id, session);
  }
  $('#empty').hidden = items.length > 0;
}

function listen() {
  const created = io(base, { auth: { apiKey: key } });
  socket = created;
  created.on('connect', () => [...cards.keys()].forEach(join));
  created.on('connect_error', (error) => say(new Error(`Live events: ${error.message}.`)));
  created.on('status', (status) => show(status.sessionId, status));
  created.on('qr', ({ sessionId }) => showQr(sessionId));
  created.on('pairing_code', ({ sessionId, code }) => {
    const card = cards.get(sessionId);
    if (card) $('.code output', card.element).textContent = code;
  });
  created.on('message', (message) => {
    const text = message.text ?? `(${Object.keys(message.message ?? {})[0] ?? 'message'})`;
    line(message.sessionId, { kind: 'in', text, note: message.pushName ?? message.from });
  });
  created.on('message_status', ({ sessionId, id, status }) => mark(sessionId, id, status));
}

function join(id) {
  if (!socket?.connected) return;
  socket.emit('join', { room: id }, (answer) => {
    if (!answer.ok) say(new Error(`${id}: ${answer.error}`));
  });
}

function makeCard(id) {
  const element = $('#session').content.cloneNode(true).firstElementChild;
  element.dataset.session = id;
  $('h2', element).textContent = id;
  $('.log', element).setAttribute('aria-label', `Messages of ${id}`);
  for (const button of element.querySelectorAll('[data-do]')) {
    button.addEventListener('click', () => act(button, () => perform(id, button.dataset.do)));
  }
  onSubmit($('.send', element), () => send(id));
  onSubmit($('.code', element), async () => {
    const { code } = await call('POST', `/api/sessions/${id}/pairing-code`, { phone: $('.code input', element).value });
    $('.code output', element).textContent = code;
  });
  $('#sessions').append(element);
  return { element, asked: 0, shown: 0 };
}

async function perform(id, what) {
  if (what === 'delete') {
    if (!confirm(`Delete the session ${id}? Its credentials are kept: creating it again resumes it.`)) return;
    await call('DELETE', `/api/sessions/${id}`);
  } else {
    await call('POST', `/api/sessions/${id}/${what}`);
  }
  await refresh();
}

function show(id, { status, me, lastError }) {
  const card = cards.get(id);
  if (!card) return;
  const { element } = card;
  element.dataset.status = status;
  $('.status', element).textContent = status.replaceAll('_', ' ');
  $('.me', element).textContent = me ? (me.name ? `${me.name} · ` : '') + me.id.split('@')[0] : '';
  const reason = $('.reason', element);
  reason.textContent = lastError?.message ?? '';
  reason.hidden = !lastError;
  $('.pairing', element).hidden = status !== 'qr';
  if (status === 'qr') showQr(id);
  else hideQr(card);
}

/** Shows the code that waits now: with every refresh, and as soon as a new one is told. An answer to an older question changes nothing. */
async function showQr(id) {
  const card = cards.get(id);
  if (!card) return;
  const question = ++card.asked;
  const answer = await call('GET', `/api/sessions/${id}/qr`).catch(() => null);
  if (question < card.shown || card.element.dataset.status !== 'qr') return;
  card.shown = question;
  if (!answer) {
    hidePicture(card);
    if (question === card.asked) setTimeout(() => question === card.asked && showQr(id), AGAIN_MS);
    return;
  }
  const picture = $('.qr', card.element);
  if (picture.src !== answer.dataUrl) picture.src = answer.dataUrl;
  picture.hidden = false;
}

function hidePicture({ element }) {
  const picture = $('.qr', element);
  picture.removeAttribute('src');
  picture.hidden = true;
}

function hideQr(card) {
  card.shown = ++card.asked;
  hidePicture(card);
  $('.code output', card.element).textContent = '';
}

async function send(id) {
  const { element } = cards.get(id);
  const [to, text] = [$('.to', element), $('.text', element)];
  const sent = await call('POST', '/api/messages/text', { sessionId: id, to: to.value, text: text.value });
  line(id, { kind: 'out', text: text.value, note: `to ${to.value}`, message: sent.id, status: sent.status });
  if (early.has(sent.id)) mark(id, sent.id, early.get(sent.id));
  text.value = '';
  text.focus();
}

function line(id, { kind, text, note, message, status }) {
  const log = $('.log', cards.get(id)?.element);
  if (!log) return;
  const item = document.createElement('li');
  const small = document.createElement('small');
  const state = document.createElement('span');
  item.className = kind;
  if (message) item.dataset.message = message;
  small.textContent = `${new Date().toLocaleTimeString()} · ${note}`;
  state.className = 'state';
  state.textContent = status ? ` · ${status}` : '';
  small.append(state);
  item.append(document.createTextNode(text), small);
  log.append(item);
  if (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}

const WORDS = { SERVER_ACK: 'sent', DELIVERY_ACK: 'delivered', READ: 'read', PLAYED: 'played', ERROR: 'failed' };

function mark(id, message, status) {
  const log = $('.log', cards.get(id)?.element);
  const item = log && [...log.children].find((one) => one.dataset.message === message);
  if (!item) {
    early.set(message, status);
    if (early.size > MAX_LINES) early.delete(early.keys().next().value);
    return;
  }
  $('.state', item).textContent = ` · ${WORDS[status] ?? status}`;
  item.classList.toggle('failed', status === 'ERROR');
}
