// Stock Baileys 7 as a judge, see ../README.md.
import * as library from 'baileys';
import curve from 'libsignal/src/curve.js';
import { runBaileys } from '../shared/baileys.mjs';

await runBaileys({ library, verifySignature: curve.verifySignature });
