// Shows slow steps: a line at once, the elapsed time while it lasts, the result at its end.
// On a terminal the line is rewritten in place; elsewhere a line is added every few seconds, so that a log shows life.

const terminal = process.stderr.isTTY === true && process.env.TERM !== 'dumb';
const beatMs = terminal ? 200 : 5000;

/** @param {number} sinceMs */
function elapsed(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/**
 * Runs one step and shows it on stderr.
 * @template T
 * @param {string} label what happens, in a few words
 * @param {(note: (text: string) => void) => Promise<T>} work note() says where it stands
 * @returns {Promise<T>}
 */
export async function step(label, work) {
  const startMs = performance.now();
  let note = '';
  const line = () => `${label}${note ? `: ${note}` : ''}`;
  const show = (/** @type {string} */ text) => {
    if (!terminal) process.stderr.write(`${text}\n`);
    else process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  };
  show(`  … ${label}`);
  const beat = setInterval(() => show(`  … ${line()}  ${elapsed(startMs)}`), beatMs);
  try {
    const result = await work((text) => {
      note = text;
    });
    show(`  ✓ ${line()}  ${elapsed(startMs)}`);
    return result;
  } catch (error) {
    show(`  ✗ ${line()}  ${elapsed(startMs)}`);
    throw error;
  } finally {
    clearInterval(beat);
    if (terminal) process.stderr.write('\n');
  }
}
