// Breaks text into lines for a terminal. Node built-ins only: the demo's introduction comes before the packages.

/** A space that belongs to a quantity: `± 1.2 ms`, `95 %`. */
const beforeUnit = /(?<=±) |(?<=\d) (?=(?:ns|us|ms|s|KiB|UTC|%)(?!\w))/g;

/**
 * Breaks text into lines of at most `width` characters at its spaces, but not between a number and its unit; further
 * lines begin with `indent` spaces.
 * @param {string} text
 * @param {number} width
 * @param {number} [indent]
 * @returns {string[]}
 */
export function wrap(text, width, indent = 0) {
  /** @type {string[]} */
  const lines = [];
  let line = '';
  for (const word of text.replace(beforeUnit, '\u00a0').split(' ')) {
    const space = line === '' || line.trim() === '' ? '' : ' ';
    if (line.trim() !== '' && [...line].length + 1 + [...word].length > width) {
      lines.push(line);
      line = ' '.repeat(indent) + word;
    } else line += space + word;
  }
  lines.push(line);
  return lines.map((each) => each.replaceAll('\u00a0', ' '));
}

/** Widest line of running text, also on a wider terminal. */
export const paragraphWidth = 80;
