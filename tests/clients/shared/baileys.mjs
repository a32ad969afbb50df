// One stock Baileys (6 or 7) behind the judges' line protocol.
// Comes in: the library, its signature check, WS_URL, ROOT_PUBLIC_KEY, STATE_DIR. Goes out: what the library reported, no more.
// Must not patch the library beyond the two exported objects that make it check signatures, nor retry what failed.
import { createHash } from 'node:crypto';
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
const isGroup = (jid) => jid?.endsWith('@g.us') === true;

/** A number is a person's; whatever has a server is meant as it is. */
const address = (to) => (to.includes('@') ? to : `${to}@s.whatsapp.net`);

/** The number of a group's member where the group names it. */
const memberNumber = (member) => user(member.phoneNumber ?? member.id ?? member);

/** A phone number where the message names one, otherwise whatever the sender is known by. */
function sender(key) {
  const candidates = [key.participantAlt, key.remoteJidAlt, key.senderPn, key.participant, key.remoteJid];
  return user(candidates.find((jid) => jid?.endsWith('@s.whatsapp.net')) ?? candidates.find(Boolean));
}

function reportStatus({ id, fromMe }, status) {
  if (fromMe && STATUS[status]) emit('receipt', { id, status: STATUS[status] });
}

function reportGroupReceipt({ id, fromMe }, { readTimestamp }) {
  if (fromMe) emit('receipt', { id, status: readTimestamp ? 'read' : 'delivered' });
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

  /** Fetches and decrypts a picture, as the library does for whoever asks. */
  async function reportImage(fields, image) {
    const chunks = [];
    for await (const chunk of await library.downloadContentFromMessage(image, 'image')) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    emit('message', { ...fields, text: image.caption ?? '', media: { kind: 'image', mimeType: image.mimetype, size: bytes.length, sha256 } });
  }

  const onMessages = ({ messages }) => {
    for (const { key, message, messageStubType, status, userReceipt } of messages) {
      received.set(key.id, key);
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      const chat = isGroup(key.remoteJid) ? key.remoteJid : undefined;
      const fields = { id: key.id, from: sender(key), fromMe: key.fromMe === true, chat };
      const image = message?.imageMessage;
      if (image) reportImage(fields, image).catch((error) => emit('error', { cmd: 'download', message: String(error) }));
      else if (text !== undefined && text !== null) emit('message', { ...fields, text });
      else if (messageStubType === 2) emit('undecryptable', fields);
      // A receipt that came while the library still held the message back is merged into it.
      reportStatus(key, status);
      userReceipt?.forEach((receipt) => reportGroupReceipt(key, receipt));
    }
  };

  const onUpdates = (updates) => {
    for (const { key, update } of updates) reportStatus(key, update.status);
  };

  const onGroupReceipts = (updates) => {
    for (const { key, receipt } of updates) reportGroupReceipt(key, receipt);
  };

  const onGroups = (groups) => {
    for (const { id, subject, participants } of groups) {
      emit('joined', { group: id, subject, members: participants.map(memberNumber).sort() });
    }
  };

  const onMembers = ({ id, participants, action }) => {
    emit('members', { group: id, action, members: participants.map(memberNumber).sort() });
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
    socket.ev.on('message-receipt.update', onGroupReceipts);
    socket.ev.on('groups.upsert', onGroups);
    socket.ev.on('group-participants.update', onMembers);
    socket.ws.on('CB:ack,class:message', onAck);
  }

  async function sendContent(to, content, ref) {
    const messageId = library.generateMessageIDV2(socket.user.id);
    refs.set(messageId, ref);
    const { message } = await socket.sendMessage(address(to), content, { messageId });
    sent.set(messageId, message);
  }

  const send = ({ to, text, ref }) => sendContent(to, { text }, ref);

  // Without a thumbnail of its own the library looks for an image processor, which is not installed.
  const sendImage = ({ to, base64, mimeType, caption, ref }) =>
    sendContent(to, { image: Buffer.from(base64, 'base64'), mimetype: mimeType, caption, jpegThumbnail: '' }, ref);

  const describeGroup = ({ id, subject, participants }, ref) =>
    emit('group', { ref, group: id, subject, members: participants.map(memberNumber).sort() });

  async function createGroup({ subject, members, ref }) {
    describeGroup(await socket.groupCreate(subject, members.map(address)), ref);
  }

  async function groupInfo({ group, ref }) {
    describeGroup(await socket.groupMetadata(group), ref);
  }

  async function changeMembers({ group, action, members, ref }) {
    const outcomes = await socket.groupParticipantsUpdate(group, members.map(address), action);
    const refused = outcomes.filter(({ status }) => status !== '200');
    if (refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused.map(({ status }) => status))}`);
    emit('changed', { ref });
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

  await serve({
    connect,
    link_code: linkCode,
    send,
    send_image: sendImage,
    create_group: createGroup,
    group_info: groupInfo,
    change_members: changeMembers,
    read,
    logout: () => socket.logout(),
    stop,
  });
}
