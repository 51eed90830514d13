// Builds firmware with a core, and exits as soon as its compiler is at work:
//   node build-child.mjs CORE FOLDER
import { readFileSync } from 'node:fs';
import { buildFirmware } from '../../host/build/index.ts';
import { until } from '../../host/setup/until.ts';
import { descendants } from '../../scripts/lib/processes.mjs';

const [corePath = '', outDir = ''] = process.argv.slice(2);
void buildFirmware({ board: 'mps2-an385', corePath, outDir });
await until('a compiler at work', () =>
  descendants(process.pid).some((pid) => readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('cc1')),
);
process.exit(3);
