// Stock socket.io-client as a judge of the gateway, see ../README.md.
// Comes in: GATEWAY_URL, commands `connect {apiKey?, via?, transports?}`, `join {room, ref}`. Goes out: everything that the gateway emitted, as `server` events.
import { io } from 'socket.io-client';
import { emit, required, serve } from '../shared/lines.mjs';

const ACKNOWLEDGED_WITHIN_MS = 10_000;
let socket;

/** The key goes into the handshake's `auth`, or into the header `X-API-Key`. */
function connect({ apiKey, via = 'auth', transports }) {
  socket = io(required('GATEWAY_URL'), {
    auth: apiKey && via === 'auth' ? { apiKey } : undefined,
    extraHeaders: apiKey && via === 'header' ? { 'X-API-Key': apiKey } : undefined,
    forceNew: true,
    reconnection: false,
    transports: transports ?? ['polling', 'websocket'],
  });
  socket.on('connect', () => emit('connected', { id: socket.id, transport: socket.io.engine.transport.name }));
  socket.on('connect_error', (error) => emit('refused', { message: error.message }));
  socket.on('disconnect', (reason) => emit('disconnected', { reason }));
  socket.onAny((name, data) => emit('server', { name, data }));
}

async function join({ room, ref }) {
  const answer = await socket.timeout(ACKNOWLEDGED_WITHIN_MS).emitWithAck('join', { room });
  emit('joined', { ref, answer });
}

async function stop() {
  socket?.disconnect();
  process.exit(0);
}

await serve({ connect, join, stop });
