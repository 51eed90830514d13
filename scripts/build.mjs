// `npm run build`: the packages if they are missing, the core, then dist/.

import { step } from './lib/progress.mjs';
import { setUp } from './setup.mjs';

try {
  await setUp({ debian: [] });
  await step('dist (one file, core and native files)', async (note) => {
    const { buildDist } = await import('./build-dist.mjs');
    const { files } = await buildDist();
    note(`${files.length} files`);
  });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
