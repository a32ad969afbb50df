// Stock Baileys 6 as a judge, see ../README.md. This version checks no certificate signature whatever the root is.
import * as library from '@whiskeysockets/baileys';
import curve from 'libsignal/src/curve.js';
import { runBaileys } from '../shared/baileys.mjs';

await runBaileys({ library: { ...library, makeWASocket: library.makeWASocket ?? library.default }, verifySignature: curve.verifySignature });
