// What an export's conformance program replays: what a meter on a line was told while it polled simulated servers, with the
// checksum of all of the core's actions after each event. Program: SERVERS CORE FILE writes it as a C header.
// What always holds: everything follows from the core, so the same core gives the same header.
import { writeFileSync } from 'node:fs';
import { loadCoreModule } from '../host/core/core.ts';
import { CheckedCore } from '../test/fuzz/checked-core.ts';
import { addActions, firstChecksum, makeRecording } from './mcu-recording.ts';

const polls = 8;
const headBytes = 16;

const [servers, corePath, file] = process.argv.slice(2);
const core = loadCoreModule(corePath);
const recording = makeRecording({ core, servers: Number(servers), polls, seed: 1, thermometer: true });
const bytes = Buffer.from(recording.bytes);
const replayed = new CheckedCore({ plain: core.module }, { large: false });
let checksum = firstChecksum;
for (let at = 0; ; ) {
  const event = bytes.readUInt16LE(at + 8);
  if (event === 0) break;
  const length = bytes.readUInt16LE(at + 10);
  const payload = bytes.subarray(at + headBytes, at + headBytes + length);
  checksum = addActions(checksum, replayed.handle(event, bytes.readBigUInt64LE(at), payload));
  bytes.writeUInt32LE(checksum, at + 12);
  at += (headBytes + length + 7) & ~7;
}
if (checksum !== recording.checksum) throw new Error('the same events led to other actions');
const lines = [...bytes]
  .map((byte) => `${byte},`)
  .join('')
  .replaceAll(/.{1,110},/g, '  $&\n');
writeFileSync(
  file!,
  `// What a meter was told, and the checksum of what it did (conformance.c): made with the core of this export.
#pragma once

#include <stdint.h>

#define CONFORMANCE_TRACE_EVENTS ${recording.events}u
#define CONFORMANCE_TRACE_CHECKSUM ${checksum}u

static const uint8_t conformance_trace[] = {
${lines}};
`,
);
