// The line protocol of every judge: one JSON command per line on stdin, one JSON event per line on stdout.
// Comes in: a table of command handlers. Goes out: events. Must not write anything else to stdout (logs go to stderr).
import { Console } from 'node:console';
import { createInterface } from 'node:readline';

// Libraries print to the console as they like: that is log, not protocol.
globalThis.console = new Console(process.stderr, process.stderr);

/** Writes one event. Undefined fields are left out. */
export function emit(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

/**
 * Performs commands in the order in which they arrive, each to its end before the next.
 * A handler that throws becomes an `error` event that names the command; the end of stdin is a `stop`.
 */
export async function serve(handlers) {
  const perform = async (command) => {
    const handler = handlers[command.cmd];
    if (!handler) throw new Error(`unknown command ${command.cmd}`);
    await handler(command);
  };
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === '') continue;
    const command = JSON.parse(line);
    await perform(command).catch((error) => {
      emit('error', { cmd: command.cmd, ref: command.ref, message: String(error?.message ?? error) });
    });
  }
  await perform({ cmd: 'stop' });
}

/** An environment variable that must be set. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}
