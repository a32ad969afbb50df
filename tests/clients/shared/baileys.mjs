// One stock Baileys (6 or 7) behind the judges' line protocol.
// Comes in: the library, its signature check, WS_URL, ROOT_PUBLIC_KEY, STATE_DIR. Goes out: what the library reported, no more.
// Must not patch the library beyond the two exported objects that make it check signatures, nor retry what failed.
import { emit, required, serve } from './lines.mjs';

const RESTART_REQUIRED = 515;
const LOGGED_OUT = 401;
const STATUS = { 3: 'delivered', 4: 'read', 5: 'played' };

/** Baileys reads the answer of libsignal's check but drops it: take it seriously, and trust our root only if one is given. */
function makeStrict(library, verifySignature) {
  library.Curve.verify = (publicKey, message, signature) => {
    try {
      return verifySignature(library.generateSignalPubKey(publicKey), message, signature);
    } catch {
      return false;
    }
  };
  const root = process.env.ROOT_PUBLIC_KEY;
  if (root && library.WA_CERT_DETAILS) library.WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(root, 'hex');
}

/** Logs go to stderr, where the test harness keeps them for a failure. */
function logger() {
  const log = (level) => (fields, text) => {
    const error = fields?.err ?? fields?.error ?? fields?.trace;
    console.error(level, text ?? fields?.msg ?? (typeof fields === 'string' ? fields : ''), error?.stack ?? error ?? '');
  };
  const quiet = () => {};
  const self = { level: 'info', trace: quiet, debug: quiet, info: log('info'), warn: log('warn'), error: log('error') };
  self.fatal = self.error;
  self.child = () => self;
  return self;
}

const user = (jid) => jid?.split('@')[0].split(':')[0];

/** A phone number where the message names one, otherwise whatever the sender is known by. */
function sender(key) {
  const candidates = [key.participantAlt, key.remoteJidAlt, key.senderPn, key.participant, key.remoteJid];
  return user(candidates.find((jid) => jid?.endsWith('@s.whatsapp.net')) ?? candidates.find(Boolean));
}

function reportStatus({ id, fromMe }, status) {
  if (fromMe && STATUS[status]) emit('receipt', { id, status: STATUS[status] });
}

/** Runs the judge until `stop` or the end of stdin. */
export async function runBaileys({ library, verifySignature }) {
  makeStrict(library, verifySignature);
  const { state, saveCreds } = await library.useMultiFileAuthState(required('STATE_DIR'));
  const url = required('WS_URL');
  const received = new Map();
  const sent = new Map();
  const refs = new Map();
  let socket;

  const onMessages = ({ messages }) => {
    for (const { key, message, messageStubType, status } of messages) {
      received.set(key.id, key);
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      const fields = { id: key.id, from: sender(key), fromMe: key.fromMe === true };
      if (text !== undefined && text !== null) emit('message', { ...fields, text });
      else if (messageStubType === 2) emit('undecryptable', fields);
      // A receipt that came while the library still held the message back is merged into it.
      reportStatus(key, status);
    }
  };

  const onUpdates = (updates) => {
    for (const { key, update } of updates) reportStatus(key, update.status);
  };

  const onAck = ({ attrs }) => {
    const ref = refs.get(attrs.id);
    if (ref === undefined) return;
    refs.delete(attrs.id);
    if (attrs.error) emit('error', { cmd: 'send', ref, message: `refused by the server with ${attrs.error}` });
    else emit('sent', { ref, id: attrs.id });
  };

  const onClose = (error) => {
    const code = error?.output?.statusCode;
    if (code === RESTART_REQUIRED) return connect();
    if (code === LOGGED_OUT) emit('logged_out');
    return emit('closed', { code, reason: error?.message ?? '' });
  };

  const onConnection = ({ connection, lastDisconnect, qr, isNewLogin }) => {
    if (qr) emit('qr', { qr });
    if (isNewLogin) emit('paired', { me: user(socket.authState.creds.me?.id) });
    if (connection === 'open') emit('open', { me: user(socket.user.id) });
    if (connection === 'close') onClose(lastDisconnect?.error);
  };

  function connect() {
    socket = library.makeWASocket({
      auth: state,
      waWebSocketUrl: url,
      logger: logger(),
      syncFullHistory: false,
      shouldSyncHistoryMessage: () => false,
      getMessage: async ({ id }) => sent.get(id),
    });
    socket.ev.on('creds.update', saveCreds);
    socket.ev.on('connection.update', onConnection);
    socket.ev.on('messages.upsert', onMessages);
    socket.ev.on('messages.update', onUpdates);
    socket.ws.on('CB:ack,class:message', onAck);
  }

  async function send({ to, text, ref }) {
    const messageId = library.generateMessageIDV2(socket.user.id);
    refs.set(messageId, ref);
    const { message } = await socket.sendMessage(`${to}@s.whatsapp.net`, { text }, { messageId });
    sent.set(messageId, message);
  }

  async function read({ id }) {
    const key = received.get(id);
    if (!key) throw new Error(`no message ${id} was received`);
    await socket.readMessages([key]);
  }

  async function linkCode({ phone }) {
    emit('link_code', { linkCode: await socket.requestPairingCode(phone) });
  }

  async function stop() {
    await socket?.end(undefined);
    await saveCreds();
    process.exit(0);
  }

  await serve({ connect, link_code: linkCode, send, read, logout: () => socket.logout(), stop });
}
